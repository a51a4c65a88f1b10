use super::words::{look, split};
use super::*;
use proptest::prelude::*;

/// Whole files, and what becomes of them.
#[path = "import_samples.rs"]
mod samples;

fn said(left: &[Left]) -> String {
    left.iter().map(|item| format!("{item}\n")).collect()
}

/// What a program with these lines becomes, without the head, and what is left.
fn program(lines: &str) -> (String, String) {
    let Translation { text, left } = supervisord(&format!("[program:x]\ncommand=/bin/x\n{lines}"), "/srv/site");
    (text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect(), said(&left))
}

/// Each documented key, with a value that is not supervisord's own: what is written for it, or else what is said of it.
#[test]
fn no_key_of_a_program_is_passed_over() {
    let cases = [
        ("process_name=y", "", "the worker is called x"),
        ("numprocs=3", "instances = 3", ""),
        ("numprocs_start=7\nenvironment=A=%(process_num)03d", "env.A = \"007\"", ""),
        ("priority=1", "", "needs ="),
        ("autostart=false", "enabled = false", ""),
        ("startsecs=20", "backoff = { first = \"1s\", reset = \"20s\", give_up = 4 }", ""),
        ("startsecs=0", "", "backoff = { max"),
        ("startretries=0", "backoff = { first = \"1s\", reset = \"1s\", give_up = 1 }", ""),
        ("autorestart=true", "restart = \"always\"", ""),
        ("autorestart=false\nstartretries=2", "restart = \"never\"", "give_up = 3"),
        ("exitcodes=0, 75", "success_codes = [0, 75]", ""),
        ("exitcodes=", "success_codes = []", ""),
        ("stopsignal=SIGquit", "stop = { signal = \"QUIT\" }", ""),
        ("stopsignal=2\nstopwaitsecs=5", "stop = { signal = \"INT\", grace = \"5s\" }", ""),
        ("stopasgroup=false", "", "quell ends all that the worker has started"),
        ("killasgroup=no", "", "quell ends all that the worker has started"),
        ("user=deploy", "user = \"deploy\"\nno_new_privs = false", ""),
        (
            "redirect_stderr=false\nstderr_logfile=/l/e",
            "log.dir = \"/l\"",
            "both streams go into one log, /l/x/current",
        ),
        ("stdout_logfile=/l/o", "log.dir = \"/l\"", "the log is /l/x/current"),
        ("stdout_logfile=/o", "log.dir = \"/\"", "the log is /x/current"),
        ("stdout_logfile=l/o", "log.dir = \"l\"", "write the absolute path"),
        ("stdout_logfile=/l/%(process_num)d/o\nnumprocs=2", "", "the number of the instance"),
        ("stderr_logfile=syslog", "", "quell logs every worker"),
        ("redirect_stderr=true\nstderr_logfile=/l/e", "", "both streams go into one log, x/current in `dir`"),
        ("stdout_logfile_maxbytes=4096", "log.rotate = \"4KiB\"\nlog.retain.routine = \"44KiB\"", ""),
        ("stdout_logfile_maxbytes=0", "", "quell rotates in any case"),
        ("stdout_logfile_maxbytes=4095", "", "quell rotates at 4096 bytes or more"),
        ("stdout_logfile_backups=0", "log.rotate = \"50MiB\"\nlog.retain.routine = \"50MiB\"", ""),
        (
            "stdout_logfile_maxbytes=5000\nstderr_logfile_maxbytes=1gb\nstderr_logfile_backups=0",
            "log.rotate = \"5000B\"\nlog.retain.routine = \"1073796824B\"",
            "",
        ),
        ("stdout_capture_maxbytes=1MB", "", "no capture mode"),
        ("stderr_capture_maxbytes=1MB", "", "no capture mode"),
        ("stdout_events_enabled=true", "", "no such events"),
        ("stderr_events_enabled=1", "", "no such events"),
        ("stdout_syslog=true", "", "does not write to syslog"),
        ("stderr_syslog=true", "", "does not write to syslog"),
        ("environment=A=\"1\",A='2'", "env.A = \"2\"", ""),
        ("directory=/srv", "cwd = \"/srv\"", ""),
        ("directory=%(ENV_ROOT)s/srv", "cwd = \"${ROOT}/srv\"", ""),
        ("directory=srv", "", "\"srv\" is not absolute"),
        ("umask=0o27", "umask = \"027\"", ""),
        ("serverurl=http://localhost:9001", "", "no such server"),
        ("Comand=y", "", "`comand`: supervisord knows no such key"),
    ];
    let (bare, nothing) = program("");
    assert_eq!(nothing, "");
    for (lines, written, what) in cases {
        let (text, left) = program(lines);
        assert!(!written.is_empty() || !what.is_empty());
        assert!(written.is_empty() || (text.contains(&format!("{written}\n")) && !bare.contains(written)), "{text}");
        assert!(left.contains(what) && left.is_empty() == what.is_empty(), "{lines}: {left}");
        assert!(left.lines().all(|item| item.starts_with("3:1: ") || item.starts_with("4:1: ")), "{left}");
    }
}

/// What says what quell does anyway changes nothing, and nothing is said of it.
#[test]
fn what_is_equal_is_not_written() {
    let equal = "process_name=%(program_name)s\nnumprocs=1\nautostart=true\nstartsecs=1\nstartretries=3\n\
                 autorestart=unexpected\nexitcodes=0\nstopsignal=TERM\nstopwaitsecs=10\nstopasgroup=true\n\
                 killasgroup=true\nredirect_stderr=true\nstdout_logfile=AUTO\nstderr_logfile=NONE\nstdout_capture_maxbytes=0\n\
                 stdout_events_enabled=false\nstdout_syslog=false\ndirectory=/\numask=022\nserverurl=AUTO\n";
    assert_eq!(program(equal), program(""));
}

#[test]
fn values_that_supervisord_refuses_are_left() {
    let refused = [
        ("numprocs=many", "not a whole number"),
        ("numprocs=0", "enabled = false"),
        ("autostart=perhaps", "neither true nor false"),
        ("autorestart=sometimes", "none of true, false and unexpected"),
        ("exitcodes=0,256", "from 0 to 255"),
        ("stopsignal=FOO", "no signal"),
        ("stdout_logfile_maxbytes=ten", "not a size"),
        ("environment=A", "is not KEY"),
        ("environment=A=\"1\"\n B=\"2\"", "close them"),
        ("environment=A=\"1", "close them"),
        ("umask=8", "not an octal number"),
        ("umask=1000", "not an octal number"),
        ("directory=/srv/%(nobody)s", "stands for nothing"),
        ("directory=/srv/100%", "`%%` for a percent sign"),
        ("directory=/srv/%(program_name)5d", "is text"),
    ];
    let (bare, _) = program("");
    for (line, what) in refused {
        let (text, left) = program(line);
        assert_eq!(text, bare, "{line}");
        assert!(left.contains(what) && left.lines().count() == 1, "{line}: {left}");
    }
}

#[test]
fn without_a_command_there_is_no_worker() {
    for (text, place) in [
        ("[program:x]\nuser=a\n", "1:1"),
        ("[program:x]\ncommand=\n", "2:1"),
        ("[program:x]\ncommand=sh -c 'a ; b'\n", "2:1"),
        ("[program:x]\ncommand=%(x\n", "2:1"),
    ] {
        let translation = supervisord(text, "/srv/site");
        assert!(!translation.text.contains("worker."), "{}", translation.text);
        assert!(said(&translation.left).starts_with(place), "{}", said(&translation.left));
    }
}

#[test]
fn numbers_of_instances() {
    for (lines, command, what) in [
        ("numprocs=9\nnumprocs_start=1", r#"["p", "80{n}", "800{n}"]"#, ""),
        ("numprocs=9", r#"["p", "80{n}", "800{n}"]"#, "from 1, not from 0"),
        ("numprocs=10\nnumprocs_start=1", r#"["p", "80{n}", "80{n}"]"#, "without filling up to 2"),
        ("numprocs_start=5", r#"["p", "805", "8005"]"#, ""),
    ] {
        let text = format!("[program:x]\ncommand=p 80%(process_num)d 80%(process_num)02d\n{lines}\n");
        let Translation { text, left } = supervisord(&text, "/srv/site");
        assert!(text.contains(&format!("command = {command}\n")), "{text}");
        assert!(said(&left).contains(what) && what.is_empty() == left.is_empty(), "{}", said(&left));
    }
}

#[test]
fn names_in_values() {
    let (text, left) =
        program("environment=A=\"%(group_name)s\",B=\"%(numprocs)d%%\",C=\"%(ENV_A)s\",H=%(host_node_name)s");
    assert!(text.contains("env.A = \"x\"\nenv.B = \"1%\"\nenv.C = \"${A}\"\nenv.H = \"${HOSTNAME}\"\n"), "{text}");
    assert!(left.contains("does not know the host's name"), "{left}");
    // A variable that the file itself sets is not quell's; one with the number cannot stand where no number can.
    let (text, left) = program("environment=A=\"/$a\",P=\"%(process_num)s\"\nnumprocs=2\ndirectory=%(ENV_A)s\n");
    assert!(text.contains("cwd = \"/$$a\"\n"), "{text}");
    assert!(left.contains("from 1"), "{left}");
    let (text, left) =
        program("environment=P=\"/%(process_num)s\"\nnumprocs=2\nnumprocs_start=1\ndirectory=%(ENV_P)s\n");
    assert!(!text.contains("cwd") && left.contains("6:1: `directory`: the number"), "{text}{left}");
    let (_, left) = program("environment=P=\"{n}\"\n");
    assert!(left.contains("quell replaces {n}"), "{left}");
}

#[test]
fn sections_and_keys_as_configparser_reads_them() {
    let text = "\u{feff}lost=1\n[a] ; c\nK : v=w;x ; c\n  go on\n\n  # c\n  and on # c\nk2=\n\ttab\n[b]\n  in = 1\n   more\n  out\n\
                [a]\nk2 = again\n";
    let (sections, left) = ini::parse(text);
    let found: Vec<_> = sections
        .iter()
        .flat_map(|section| {
            section.entries.iter().map(move |entry| (&*section.name, &*entry.key, &*entry.value, entry.line))
        })
        .collect();
    let expected = [("a", "k", "v=w;x\ngo on\n\nand on", 3), ("a", "k2", "again", 15), ("b", "in", "1\nmore", 11)];
    assert_eq!(found, expected);
    let places: Vec<_> = left.iter().map(|item| (item.line, item.column, &item.what[..12])).collect();
    assert_eq!(places, [(1, 1, "stands befor"), (13, 3, "neither `key"), (8, 1, "`k2`: line 1")]);
}

#[test]
fn every_section_is_named() {
    let heads = [
        "unix_http_server",
        "inet_http_server",
        "supervisorctl",
        "rpcinterface:x",
        "ctlplugin:x",
        "eventlistener:x",
        "fcgi-program:x",
        "program:",
        "supervisord:x",
        "group:x",
        "watchdog",
    ];
    for head in heads {
        let translation = supervisord(&format!("\n [{head}]\nkey=value\n"), "/srv/site");
        assert!(said(&translation.left).starts_with(&format!("2:2: [{head}]")), "{}", said(&translation.left));
        assert!(!translation.text.contains('['), "{}", translation.text);
    }
    let every = "nodaemon=off\nsilent=true\nstrip_ansi=true\nnocleanup=true\nlogfile=x\nlogfile_maxbytes=1\n\
                 logfile_backups=1\nloglevel=info\npidfile=x\nidentifier=x\nminfds=1\nminprocs=1\nwhat=x\n";
    let translation = supervisord(&format!("[supervisord]\n{every}"), "/srv/site");
    let lines: Vec<_> = translation.left.iter().map(|item| item.line).collect();
    assert_eq!(lines, (2..15).collect::<Vec<_>>(), "{}", said(&translation.left));
    let translation = supervisord(
        "[supervisord]\nsilent=false\nstrip_ansi=false\nnocleanup=false\nnodaemon=true\nuser=root\n",
        "/srv/site",
    );
    assert_eq!(translation.left, []);
    let translation = supervisord(
        "[supervisord]\nnodaemon=true\ndirectory=/srv\n[DEFAULT]\nuser=x\n[include]\nfile=x\n",
        "/srv/site",
    );
    assert_eq!(translation.left.iter().map(|item| item.line).collect::<Vec<_>>(), [3, 5, 7]);
}

/// As Python's `shlex.split` does it.
#[test]
fn words_of_a_command() {
    let words = |line| split(line).map(|words| words.into_iter().map(|word| word.text).collect::<Vec<_>>());
    assert_eq!(
        words(" a\t'b c'\n\"d \\\" \\$ \\\\\"e #f '' \\ g").unwrap(),
        ["a", "b c", "d \" \\$ \\e", "#f", "", " g"]
    );
    assert_eq!(words("").unwrap(), [""; 0]);
    for unclosed in ["'a", "\"a", "a\\", "\"a\\\""] {
        assert_eq!(words(unclosed), None, "{unclosed}");
    }
}

#[test]
fn what_only_a_shell_understands() {
    for plain in ["nginx -g 'daemon off;'", "a --x=y \"b|c\"", "a \\~ b~ c#d", "1A=b c", "echo done"] {
        assert!(!look(plain).needs_shell, "{plain}");
    }
    let run = |line: &str| {
        let seen = look(line);
        assert!(seen.needs_shell, "{line}");
        seen.exec_at.map(|at| format!("{}exec {}", &line[..at], &line[at..]))
    };
    for (line, expected) in [
        ("a $B", "exec a $B"),
        ("a \"$B\"", "exec a \"$B\""),
        ("a \"\\$B\"", "exec a \"\\$B\""),
        ("a $(nproc | head) ${B:-(;} `c; d`", "exec a $(nproc | head) ${B:-(;} `c; d`"),
        ("a > b 2>&1", "exec a > b 2>&1"),
        ("a *.py", "exec a *.py"),
        ("~/a", "exec ~/a"),
        ("a # b", "exec a # b"),
        ("A=1 B=\"2 3\"  c", "A=1 B=\"2 3\"  exec c"),
        ("A=$(b c) d", "A=$(b c) exec d"),
    ] {
        assert_eq!(run(line).as_deref(), Some(expected));
    }
    for line in ["a; b", "a | b", "a && b", "a &", "(a)", "{ a; }", "! a", "cd a", "exec a", "A=1", "if a", "a $(b"] {
        assert_eq!(run(line), None, "{line}");
    }
}

#[test]
fn strings_and_names_are_toml() {
    assert_eq!(
        write::quote("a\"b\\c\td\re\nf\u{1}g\u{7f}é\u{2028}"),
        "\"a\\\"b\\\\c\\td\\re\\nf\\u0001g\\u007Fé\u{2028}\""
    );
    let text = procfile("a.b: x\n", "/srv/site").text;
    assert!(text.contains("[worker.\"a.b\"]\n"), "{text}");
    let long = "x".repeat(70);
    let mut names = write::Names::default();
    let given = ["", ".a", "a b", "a_b", "é", &long, &long].map(|name| names.give(name));
    let (cut, next) = ("x".repeat(64), format!("{}-2", "x".repeat(62)));
    assert_eq!(given, ["_", "_a", "a_b", "a_b-2", "_-2", &cut, &next]);
}

/// Whether a line of the result is one that is written: empty, a comment, a table's head, or a key and its value.
fn is_written(line: &str) -> bool {
    let key = line.split_once(" = ").is_some_and(|(_, value)| !value.is_empty());
    line.is_empty() || line.starts_with('#') || (line.starts_with('[') && line.ends_with(']')) || key
}

fn sane(text: &str, translation: &Translation) -> Result<(), TestCaseError> {
    let places: Vec<_> = translation.left.iter().map(|item| (item.line, item.column)).collect();
    prop_assert!(places.is_sorted());
    for (line, column) in places {
        let there =
            text.lines().nth(line as usize - 1).is_some_and(|at| (1..=at.chars().count()).contains(&(column as usize)));
        prop_assert!(there, "{}:{}", line, column);
    }
    prop_assert!(!said(&translation.left).replace('\n', "").contains(char::is_control));
    for line in translation.text.lines() {
        prop_assert!(is_written(line) && !line.contains(|c: char| c.is_control()), "{:?}", line);
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_translated(text in "([\n\\[\\]=:;%$'\"( )]|(?s:.)){0,60}") {
        sane(&text, &procfile(&text, "/srv/site"))?;
        sane(&text, &supervisord(&text, "/srv/site"))?;
    }

    #[test]
    fn what_looks_like_a_procfile_is_translated(text in "([a-z.]{0,3}:? ?[ -~é\u{1}]{0,20}\n){0,6}") {
        sane(&text, &procfile(&text, "/srv/site"))?;
    }

    #[test]
    fn what_looks_like_a_conf_is_translated(
        keys in prop::collection::vec(
            ("(command|environment|numprocs|directory|stdout_logfile|user|umask|exitcodes)", "[ =:]", "([ -~é\u{1}]|%\\((ENV_A|process_num|here)\\)[0-9]?[sd]){0,12}"),
            0..8,
        ),
    ) {
        let body: String = keys.iter().map(|(key, equals, value)| format!("{key}{equals}{value}\n")).collect();
        let text = format!("[supervisord]\n{body}[program:x y]\ncommand=a\n{body}");
        sane(&text, &supervisord(&text, "/srv/site"))?;
    }
}
