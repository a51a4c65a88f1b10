//! At a terminal: its keys and its end are for quell, and workers have none.

use super::{Watched, ask, configure, until};
use crate::harness::Folder;
use crate::terminal::Terminal;
use serial_test::serial;

/// A supervisor in the foreground of a terminal; itself, and its worker.
fn start(folder: &Folder) -> (Terminal, Watched, Watched) {
    let path = configure(folder, "[worker.web]\ncommand = [\"sleep\", \"1000\"]\n");
    let mut terminal = Terminal::new();
    terminal.type_in(&format!("\"$QUELL\" up -c {}\n", path.display()));
    terminal.wait_for("all workers are up");
    let status = ask(folder, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(status.text()).unwrap();
    let pid = |found: &serde_json::Value| Watched::new(found["pid"].as_i64().unwrap() as i32);
    (terminal, pid(&status["quell"]), pid(&status["workers"][0]))
}

/// D6: a terminal that is hung up ends neither quell, which takes it for the wish to reload, nor a worker.
#[test]
#[serial]
fn a_terminal_that_is_hung_up() {
    let folder = Folder::new();
    let (terminal, quell, web) = start(&folder);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", web.pid())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let (session, its_terminal) = (fields[3], fields[4]);
    assert_eq!((session, its_terminal), (web.pid().to_string().as_str(), "0"), "{stat}");
    terminal.hang_up();
    until("it has reloaded", || ask(&folder, &["events"]).text().contains("reloaded"));
    assert!(!web.has_ended() && !quell.has_ended());
    assert_eq!(ask(&folder, &["restart", "web"]).code(), 0);
    web.ends();
    assert_eq!(ask(&folder, &["down"]).code(), 0);
    quell.ends();
}

/// D4, D6: the interrupt key is for quell alone, and stops the workers in order.
#[test]
#[serial]
fn the_interrupt_key_stops_all_in_order() {
    let folder = Folder::new();
    let (mut terminal, quell, web) = start(&folder);
    terminal.type_in("\x03");
    let said = terminal.wait_for("quell: down");
    assert!(said.contains("web: stopped (SIGTERM)"), "{said}");
    quell.ends();
    web.ends();
    terminal.type_in("echo rc=$?\n");
    terminal.wait_for("rc=0");
    terminal.leave();
}
