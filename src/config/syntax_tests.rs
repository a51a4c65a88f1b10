use crate::config::load::{Files, load};
use crate::config::report::Report;
use crate::config::source::position;
use crate::config::syntax;
use crate::config::whole::whole;
use std::io;
use std::path::{Path, PathBuf};

/// One file, and nothing beside it.
struct Single<'a>(&'a str);

impl Files for Single<'_> {
    fn read(&mut self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.as_bytes().to_vec())
    }

    fn matching(&mut self, _: &Path, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn identity(&mut self, path: &Path) -> PathBuf {
        path.to_owned()
    }
}

/// All that is said of a file.
fn reports(text: &str) -> Vec<Report> {
    load("quell.toml", Path::new("/"), &mut Single(text), &|_| None).expect("the file is there").reports
}

/// What is said of a text's syntax.
fn of_syntax(text: &str) -> Vec<Report> {
    let whole = whole(text);
    let mut document = syntax::parse(0, &whole.text);
    document.add_unclosed(0, text, &whole.unclosed);
    document.reports
}

/// Line, column and text of each report on a file, and what its fix makes of the lines that it changes.
fn said(text: &str) -> String {
    let mut said = String::new();
    for report in reports(text) {
        let (line, column) = position(text, report.place.start as usize);
        said += &format!("{line}:{column} {}", report.text);
        if let Some((place, with)) = &report.fix {
            let piece = place.bytes();
            let fixed = format!("{}{with}{}", &text[..piece.start], &text[piece.end..]);
            let start = fixed[..piece.start].rfind('\n').map_or(0, |newline| newline + 1);
            let end = piece.start + with.len();
            let end = fixed[end..].find('\n').map_or(fixed.len(), |newline| end + newline);
            said += &format!(" => {}", &fixed[start..end]);
            let (before, after) = (of_syntax(text), of_syntax(&fixed));
            if before.contains(&report) {
                assert!(after.len() < before.len(), "{report:?} makes {fixed:?}: {after:?}");
            }
        }
        said += "\n";
    }
    said
}

/// One mistake is one report on the guilty line, what follows is read, and what a report says to write parses.
const ALONE: &[(&str, &str)] = &[
    (
        "[worker.v]\ncommand = [\"/x, \"./y\"]\nrestart = \"alway\"",
        "2:15 a quote or a comma is missing => command = [\"/x\", \"./y\"]\n3:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n",
    ),
    (
        "[worker.v]\ncommand = [\"a\" \"b\"]\nrestart = \"alway\"\ncomand = 1\ncwd = \"rel\"",
        "2:15 a comma is missing => command = [\"a\", \"b\"]\n3:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n4:1 unknown key `comand` in [worker.v] => command = 1\n5:7 \"rel\" is relative, and there is nothing it could be relative to\n",
    ),
    (
        "[worker.v]\ncommand = [python3, \"b\"]\nrestart = \"alway\"",
        "2:12 `python3` is not quoted => command = [\"python3\", \"b\"]\n3:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n",
    ),
    (
        "[worker.v]\ncommand = [\"\\d\"]\nrestart = \"alway\"",
        "2:13 TOML takes `\\d` for an escape, and knows none like it => command = ['\\d']\n3:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n",
    ),
    (
        "[worker.v]\ncommand = [\"C:\\Users\\x\"]\nrestart = \"alway\"",
        "2:15 TOML takes `\\U` for an escape, and knows none like it => command = ['C:\\Users\\x']\n3:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n",
    ),
    ("[worker.v]\ncommand = [\"/x\"]\nrestart = never", "3:11 `never` is not quoted => restart = \"never\"\n"),
    (
        "[worker.v]\ncommand = [\"/x\"]\nuser = nginx\nready = notify",
        "3:8 `nginx` is not quoted => user = \"nginx\"\n4:9 `notify` is not quoted => ready = \"notify\"\n",
    ),
    (
        "[worker.v]\ncommand = [\"/x\"]\nuser = None\nready = null",
        "3:8 TOML has no `None` => \n4:9 TOML has no `null` => \n",
    ),
    (
        "[worker.v]\ncommand = [\"python3\", \"app.py\"\nrestart = \"alway\"\n[worker.db]\ncomand = [\"/x\"]",
        "2:31 the list never closes => command = [\"python3\", \"app.py\"]\n3:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n5:1 unknown key `comand` in [worker.db] => command = [\"/x\"]\n",
    ),
    (
        "[worker.v]\ncommand = [\n  \"python3\",\n  \"app.py\"\nrestart = \"alway\"\n[worker.db]\ncomand = [\"/x\"]",
        "4:11 the list never closes =>   \"app.py\"]\n5:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n7:1 unknown key `comand` in [worker.db] => command = [\"/x\"]\n",
    ),
    (
        "[worker.v]\ncommand = [\"/x\"]\nready = { line = \"up\"\n[worker.db]\ncommand = [\"/x\"]",
        "3:22 the table never closes => ready = { line = \"up\"}\n",
    ),
    (
        "[worker.v]\ncommand = [\"/x\"]\nrestart := \"always\"",
        "3:9 a key and its value stand around `=`, not `:=` => restart = \"always\"\n",
    ),
    ("[worker web]\ncommand = [\"/x\"]\nrestart = \"alway\"", "1:2 `worker web` is no table's name => [worker.web]\n"),
    ("[worker.v]\ncommand = [\"/x\"]\ninstances = ${N}", "3:13 `${N}` is not quoted => instances = \"${N}\"\n"),
    (
        "worker:\n[worker.x]\ncommand = [\"/x\"]",
        "1:7 a table begins with its name in brackets, not with `:` => [worker]\n",
    ),
    (
        "[worker.v]\ncommand = [\"/x\"]\nrestart = \"always\";",
        "3:19 `;` too many behind the value => restart = \"always\"\n",
    ),
    (
        "[worker.v]\ncommand = [\"/x\"],\nrestart = \"alway\"",
        "2:17 `,` too many behind the value => command = [\"/x\"]\n3:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n",
    ),
    (
        "[worker.v]\ncommand = [\"/x\"]]\nrestart = \"alway\"",
        "2:17 `]` too many behind the value => command = [\"/x\"]\n3:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n",
    ),
    (
        "[worker.v]\ncommand = [\"/x\"]\ncwd => \"/x\"\nrestart = \"alway\"",
        "3:5 a key and its value stand around `=`, not `=>` => cwd = \"/x\"\n4:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n",
    ),
    ("[worker.v]\n// comment\ncommand = [\"/x\"]", "2:1 a comment begins with `#`, not `//` => # comment\n"),
    (
        "[worker.v] command = [\"/x\"]\nrestart = \"alway\"",
        "1:12 a key stands behind a table's name => [worker.v]\ncommand = [\"/x\"]\n",
    ),
    (
        "[worker.v]\ncommand = (\"x\")\nrestart = \"alway\"",
        "2:11 a list stands in `[` and `]`, not in `(` and `)` => command = [\"x\"]\n3:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n",
    ),
    (
        "[worker.v]\ncommand = [\"/x\"]\nenv = { \"PORT\": \"1\" }\nrestart = \"alway\"",
        "3:15 a key and its value stand around `=`, not `:` => env = { \"PORT\" = \"1\" }\n4:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n",
    ),
    (
        "[worker.v]\ncommand = [\"/x\"]\ncwd = \"C:\\Users\"",
        "3:10 TOML takes `\\U` for an escape, and knows none like it => cwd = 'C:\\Users'\n",
    ),
    (
        "[worker.v]\ncommand = [\"/bin/sh\", \"-c\", 'echo 'hi'']\nrestart = \"alway\"",
        "2:35 `'` ends the string here, and more of it follows => command = [\"/bin/sh\", \"-c\", \"echo 'hi'\"]\n3:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n",
    ),
    (
        "[worker.w]\ncommand = [\"/x\", \"a\u{1b}b\"]\ncwd = \"/a\u{1b}\"\nrestart = \"alway\"",
        "2:20 control character U+001B in a string => command = [\"/x\", \"a\\u001Bb\"]\n3:10 control character U+001B in a string => cwd = \"/a\\u001B\"\n4:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n",
    ),
];

#[test]
fn a_mistake_hides_nothing() {
    for (text, expected) in ALONE {
        assert_eq!(said(text), *expected, "{text}");
    }
}

/// Keys without values, values that never close, tables that stand twice, and files of other programs.
const BEFORE_OTHERS: &[(&str, &str)] = &[
    (
        "[worker.v]\ncommand = [\"/x\"]\nessential\nrestart = \"alway\"\ncomand = 1",
        "3:1 `essential` has no value\n4:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n5:1 unknown key `comand` in [worker.v] => command = 1\n",
    ),
    (
        "[worker.v]\ncommand = [\"/x\"]\nstart timeout = \"5s\"\nrestart = \"alway\"\ncomand = 1",
        "3:1 there is a blank in the key `start timeout` => start_timeout = \"5s\"\n4:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n5:1 unknown key `comand` in [worker.v] => command = 1\n",
    ),
    ("web:\n  command: [\"x\"]", "1:1 this is YAML, not TOML\n"),
    ("[worker.v]\ncomm\u{200b}and = [\"/x\"]", "2:5 invisible character U+200B between words => command = [\"/x\"]\n"),
    ("[Unit]\nDescription = \"x\"\n[Service]\nExecStart = \"y\"", "1:1 this is a systemd unit, not TOML\n"),
    ("[worker.v]\rcommand = [\"/x\"]\r", "1:1 lines end in a carriage return alone\n"),
    (
        "[worker.w]\ncommand = [\"/x\"]\nenv.A=\"1\"\n[worker.w.env]\nB = \"2\"",
        "4:11 `env` is set above, and has a table here, too\n",
    ),
    (
        "[worker.w]\ncommand = [\"/x\"]\nenv = { A = \"1\" }\n[worker.w.env]\nB = \"2\"",
        "4:11 `env` is set above, and has a table here, too\n",
    ),
    (
        "[worker.w]\ncommand = [\"/x\"]\nlog.rotate = \"1d\"\n[worker.w.log]\nrotate = \"1d\"",
        "4:11 `log` is set above, and has a table here, too\n",
    ),
    ("web: python3 app.py\ndb: \"a b\"", "1:1 this is a Procfile, not TOML\n"),
    ("[program:x]\ncommand=/bin/x\nautostart=true", "1:1 this is a supervisord.conf, not TOML\n"),
    ("version: '3'\nservices:\n  web:\n    image: \"x\"\n    command: [\"x\"]", "1:1 this is YAML, not TOML\n"),
    (
        "[Unit]\nDescription=x y\n[Service]\nExecStart=/bin/x\nRestart=always\n",
        "1:1 this is a systemd unit, not TOML\n",
    ),
    (
        "[worker.v]\ncommand = [\"python3\", \"app.py\"\nrestart = \"alway\"\n[worker.db]\ncommand = [\"/x\"]",
        "2:31 the list never closes => command = [\"python3\", \"app.py\"]\n3:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n",
    ),
    (
        "[worker.v]\ncommand = [\"a\"\nrestart = \"always\"\nenv = { A = \"1\" }\n[worker.db]\ncommand = [\n  \"a\",\n]\n",
        "2:15 the list never closes => command = [\"a\"]\n",
    ),
    (
        "[worker.v]\ncommand = [\"/x\"]\nready = { line = \"up\"\nrestart = \"alway\"\n[worker.db]\ncomand = [\"/x\"]\n",
        "3:22 the table never closes => ready = { line = \"up\"}\n4:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n6:1 unknown key `comand` in [worker.db] => command = [\"/x\"]\n",
    ),
    (
        "[worker.v]\ncommand = [\n  \"python3\",\n  \"app.py\",\nrestart = \"alway\"\nlog.rotate = \"1d\"\n",
        "4:12 the list never closes =>   \"app.py\",]\n5:11 \"alway\" is not one of \"always\", \"on-failure\" or \"never\" => restart = \"always\"\n",
    ),
    (
        "[worker.v]\ncommand = [\"/x\"]\nready = {\n  line = \"up\"\n[worker.db]\ncomand = [\"/x\"]\n",
        "4:14 the table never closes =>   line = \"up\"}\n6:1 unknown key `comand` in [worker.db] => command = [\"/x\"]\n",
    ),
];

#[test]
fn what_follows_is_read_as_it_stands() {
    for (text, expected) in BEFORE_OTHERS {
        assert_eq!(said(text), *expected, "{text}");
    }
}

/// What tells how to go on names the right verb.
#[test]
fn files_of_other_programs_are_to_be_imported() {
    for (text, verb) in [
        ("web: python3 app.py\ndb: postgres\n", "quell import Procfile"),
        ("[program:x]\ncommand=/bin/x\n", "quell import supervisord.conf"),
        ("services:\n  web:\n    image: x\n", "quell init"),
        ("[Service]\nExecStart=/bin/x\n", "quell init"),
    ] {
        let reports = reports(text);
        let [report] = reports.as_slice() else { panic!("{text}: {reports:?}") };
        assert!(report.help.as_ref().is_some_and(|help| help.contains(verb)), "{report:?}");
    }
}

/// Many mistakes take no longer than as many lines, and those that are not told are said to be there.
#[test]
fn many_mistakes_are_cut_short() {
    let cut = "too many mistakes of syntax: what follows is not looked at";
    for (line, lines, at, said) in [
        ("x\n", 401, 401, cut),
        ("x = y\n", 201, 201, cut),
        ("x = \"y\n", 201, 201, cut),
        ("a = [\"x\n", 1, 101, "more than 100 brackets are open here"),
    ] {
        let text = line.repeat(50_000);
        // It would take minutes, and more memory than there is, if each mistake cost as much as there are lines.
        let reports = reports(&text);
        let last = reports.last().expect("there are some");
        assert_eq!(
            (reports.len(), position(&text, last.place.start as usize).0, last.text.as_str()),
            (lines, at, said),
            "{line:?}"
        );
    }
    // Lines of a string are none.
    let text = format!("[worker.v]\ncommand = [\"/x\", \"\"\"\n{}\"\"\"]\ncomand = 1\n", "x\n".repeat(50_000));
    assert_eq!(said(&text), "50004:1 unknown key `comand` in [worker.v] => command = 1\n");
}
