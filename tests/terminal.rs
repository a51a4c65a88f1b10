//! Keys at a terminal: they behave as if quell were not there.

use crate::harness::{Folder, LIMIT, read_until};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::openpty;
use quell::sys::fd::{self, Interest};
use serial_test::serial;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// An interactive shell with job control, at a terminal of its own.
pub(crate) struct Terminal {
    shell: Child,
    screen: File,
}

impl Terminal {
    pub(crate) fn new() -> Terminal {
        let pty = openpty(None, None).unwrap();
        // Whoever had it too would keep the line from being cut.
        fcntl(&pty.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
        let ends = [0, 1, 2].map(|_| pty.slave.try_clone().unwrap());
        let [stdin, stdout, stderr] = ends;
        let mut command = Command::new("sh");
        command.arg("-i").env("PS1", "$ ").env("ENV", "").env("QUELL", env!("CARGO_BIN_EXE_quell"));
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        // SAFETY: setsid and ioctl are async-signal-safe.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setsid()?;
                match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let shell = command.spawn().unwrap();
        drop(command);
        drop(pty.slave);
        let mut terminal = Terminal { shell, screen: File::from(pty.master) };
        // What is typed comes back on the screen, and must not be taken for an answer.
        terminal.type_in("stty -echo; echo no''echo\n");
        terminal.wait_for("noecho");
        terminal
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        read_until(&mut self.screen, text)
    }

    /// The line is cut: the shell and what runs in the foreground are told.
    pub(crate) fn hang_up(mut self) {
        drop(self.screen);
        self.shell.wait().unwrap();
    }

    /// All that comes until the shell has ended.
    pub(crate) fn leave(mut self) -> String {
        self.type_in("exit\n");
        let mut all = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let [ready] = fd::wait([Some((self.screen.as_fd(), Interest::Read))], Some(LIMIT)).unwrap();
            assert!(ready, "the shell does not end");
            match self.screen.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(bytes) => all.extend_from_slice(&chunk[..bytes]),
            }
        }
        self.shell.wait().unwrap();
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// D4: the interrupt key reaches the command once.
#[test]
#[serial]
fn the_interrupt_key_is_delivered_once() {
    let mut terminal = Terminal::new();
    let script = "trap 'echo got-int' INT; echo ready; read x; echo left $x";
    terminal.type_in(&format!("\"$QUELL\" run -- sh -c \"{script}\"; echo rc=$?\n"));
    terminal.wait_for("ready");
    terminal.type_in("\x03");
    let mut text = terminal.wait_for("got-int");
    terminal.type_in("now\n");
    text += &terminal.wait_for("rc=");
    text += &terminal.leave();
    assert_eq!(text.matches("got-int").count(), 1, "{text}");
}

/// D4: a command that the key ends takes the script around it along, as it would without quell.
#[test]
#[serial]
fn the_interrupt_key_stops_the_script_around() {
    let folder = Folder::new();
    let text = folder.write("text", "round\n");
    let mut terminal = Terminal::new();
    // Not a shell: between two commands dash passes over the key.
    let command = format!("\"$QUELL\" run -- tail -f {}", text.display());
    terminal.type_in(&format!("bash -c 'for i in 1 2 3; do {command}; done'\n"));
    terminal.wait_for("round");
    terminal.type_in("\x03");
    terminal.type_in("echo rc=$?\n");
    let text = terminal.wait_for("rc=130");
    assert!(!text.contains("round"), "{text}");
    terminal.leave();
}

/// D5: the suspend key stops both, the command first, so that it reads nothing of what is typed to the shell; and `fg`
/// continues both.
#[test]
#[serial]
fn the_suspend_key_stops_and_fg_continues() {
    let mut terminal = Terminal::new();
    terminal.type_in("\"$QUELL\" run -- sh -c 'echo ready; read x; echo read-$x'\n");
    terminal.wait_for("ready");
    terminal.type_in("\x1a");
    terminal.wait_for("topped");
    terminal.type_in("echo shell''-is-back\n");
    terminal.wait_for("shell-is-back");
    terminal.type_in("fg\n");
    terminal.type_in("input\n");
    terminal.wait_for("read-input");
    terminal.type_in("echo rc=$?\n");
    terminal.wait_for("rc=0");
    terminal.leave();
}

/// D5: a command that does not stop for the suspend key goes on, and quell with it.
#[test]
#[serial]
fn a_command_that_ignores_the_suspend_key_goes_on() {
    let mut terminal = Terminal::new();
    terminal.type_in("\"$QUELL\" run -- sh -c 'trap \"echo key\" TSTP; echo ready; until read x && test \"$x\" = two; do :; done; echo read-$x'\n");
    terminal.wait_for("ready");
    terminal.type_in("\x1a");
    terminal.type_in("one\n");
    terminal.wait_for("key");
    terminal.type_in("two\n");
    terminal.wait_for("read-two");
    terminal.leave();
}

/// A pipeline that the key interrupts: what the producer has left to say still reaches the log.
#[test]
#[serial]
fn an_interrupted_pipeline_is_read_to_its_end() {
    let folder = Folder::new();
    let mut terminal = Terminal::new();
    let producer = "trap 'kill $!; echo last words; exit' INT; sleep 1000 & echo ready >&2; wait";
    let log = folder.join("log");
    terminal.type_in(&format!("sh -c \"{}\" | \"$QUELL\" log {}\n", producer.replace('$', "\\$"), log.display()));
    terminal.wait_for("ready");
    crate::harness::wait_until(folder.path(), "the log", || log.join("ledger.json").exists());
    terminal.type_in("\x03");
    terminal.type_in("echo rc=$?\n");
    terminal.wait_for("rc=130");
    assert!(String::from_utf8(crate::harness::contents(&log)).unwrap().contains("last words"));
    terminal.leave();
}
