use super::*;

fn read(text: &[u8]) -> Result<List, Vec<Mistake>> {
    parse("t.list", text, &mut |name, _| Err(format!("no {name}")))
}

fn only_rule(text: &[u8]) -> Rule {
    let list = read(text).unwrap_or_else(|m| panic!("{m:?}"));
    assert_eq!(list.rules.len(), 1, "{text:?}");
    list.rules.into_iter().next().unwrap()
}

fn literal(text: &[u8]) -> Vec<u8> {
    only_rule(text).parts[0].spellings[0].clone()
}

#[test]
fn plain_lines_comments_and_blanks() {
    let list = read(b"\xef\xbb\xbf# c\r\nfoo bar\r\n\r\n   \n\tinner  blanks \n#x\n").unwrap();
    let texts: Vec<_> = list.rules.iter().map(|r| r.parts[0].spellings[0].as_slice()).collect();
    assert_eq!(texts, [&b"foo bar"[..], b"inner  blanks"]);
    assert_eq!(list.rules[1].place, Place { list: "t.list".into(), line: 5 });
    assert_eq!(literal(b"inline # is text"), b"inline # is text");
    assert_eq!(literal(b"\xff\xfe raw"), b"\xff\xfe raw");
}

#[test]
fn escapes() {
    assert_eq!(literal(br"\#\!\%\^\$\&\\\ \x41\xfF"), b"#!%^$&\\ A\xff");
    assert_eq!(literal(br"\ ERROR\ "), b" ERROR ");
    assert_eq!(literal(b"C:\\\\temp"), b"C:\\temp");
    assert_eq!(literal(b"ends in backslash\\\\ "), b"ends in backslash\\");
    assert_eq!(literal(b"a^b$c&d!e"), b"a^b$c&d!e");
    assert_eq!(literal(br"price \$"), b"price $");
}

#[test]
fn anchors_and_parts() {
    let rule = only_rule(b"^[x] &&  mid&&dle && end$");
    let shape: Vec<_> = rule.parts.iter().map(|p| (p.spellings[0].as_slice(), p.at_start, p.at_end)).collect();
    assert_eq!(shape, [(&b"[x]"[..], true, false), (b"mid&&dle", false, false), (b"end", false, true)]);
    assert_eq!(only_rule(br"a \&& b").parts.len(), 1);
    assert_eq!(only_rule(b"!heartbeat failed").effect, Effect::Keep);
}

#[test]
fn sections_and_options() {
    let list = read(b"a one\n%class critical\nb two\n%stream stderr\n%case any\nOut of memory\n%class drop\nd four\n")
        .unwrap();
    let effects: Vec<_> = list.rules.iter().map(|r| (r.effect, r.stdout)).collect();
    use Effect::*;
    assert_eq!(effects, [(Noise, true), (Critical, true), (Critical, false), (Drop, false)]);
    let spelled: Vec<_> = list.rules[2].parts[0].spellings.iter().map(|s| String::from_utf8_lossy(s)).collect();
    assert_eq!(spelled, ["Out of memory", "out of memory", "Out Of Memory", "OUT OF MEMORY"]);
}

#[test]
fn slower_and_expect() {
    let rule = only_rule(b"%slower 1.5s took=");
    assert_eq!((rule.effect, rule.slower), (Effect::Anomaly, Some(Duration::from_millis(1500))));
    let rule = only_rule(b"%expect 30s heartbeat && ok");
    assert_eq!((rule.effect, rule.expect, rule.parts.len()), (Effect::Noise, Some(Duration::from_secs(30)), 2));
}

#[test]
fn samples_keep_their_blanks() {
    let list = read(b"%class anomaly\n#+  two blanks \n#- x\n#+\n").unwrap();
    assert_eq!(&*list.samples[0].line, b" two blanks ");
    assert!(list.samples[0].positive && !list.samples[1].positive && list.samples[2].line.is_empty());
    assert_eq!(list.samples[0].effect, Effect::Anomaly);
}

#[test]
fn includes_nest_but_not_for_ever() {
    let mut files = |name: &str, _: &str| match name {
        "b" => Ok(("b".to_owned(), b"%class drop\nfrom b".to_vec())),
        "loop" => Ok(("loop".to_owned(), b"%include loop".to_vec())),
        _ => Err("no such file".to_owned()),
    };
    let list = parse("a", b"%include b\nfrom a", &mut files).unwrap();
    assert_eq!(list.rules.iter().map(|r| r.effect).collect::<Vec<_>>(), [Effect::Drop, Effect::Noise]);
    assert_eq!(list.rules[0].place.to_string(), "b:2");
    let mistakes = parse("a", b"%include loop", &mut files).unwrap_err();
    assert_eq!(
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["loop:1:10: loop includes itself; remove this line"]
    );
    // Each of three files includes the next one twenty times.
    let many = |name: &str, _: &str| Ok((name.to_owned(), format!("%include {name}'\n").repeat(20).into_bytes()));
    let mut three =
        |name: &str, from: &str| if name.len() < 4 { many(name, from) } else { Ok((name.into(), Vec::new())) };
    let mistakes = parse("a", b"%include b", &mut three).unwrap_err();
    assert_eq!(mistakes.len(), 1, "and it is said once");
    assert!(mistakes[0].what.contains("more than 256 files"), "{}", mistakes[0]);
    assert!(parse("a", b"%include gone", &mut files).unwrap_err()[0].to_string().contains("a:1:10"));
}

#[test]
fn mistakes_have_place_and_remedy() {
    let check = |text: &[u8], column: usize, what: &str| {
        let mistakes = read(text).unwrap_err();
        assert_eq!(mistakes.len(), 1, "{text:?}: {mistakes:?}");
        assert_eq!(mistakes[0].column, column, "{mistakes:?}");
        assert!(mistakes[0].to_string().contains(what), "{mistakes:?}");
        assert!(!mistakes[0].remedy.is_empty());
    };
    check(br"C:\temp", 3, r"unknown escape \t");
    check("é\\sx".as_bytes(), 2, r"unknown escape \s");
    check(b"tail\\", 5, "backslash at the end");
    check(b"!", 2, "empty pattern");
    check(b"^", 1, "empty pattern");
    check(b"$", 1, "empty pattern");
    check(b" && x", 2, "empty pattern");
    check(b"x && ", 5, "empty pattern");
    check(b"x && && y", 6, "empty pattern");
    check(b"a\0b", 2, "NUL");
    check(br"\x00", 1, r"\x00");
    check(br"\x1", 1, "two hexadecimal digits");
    check(b"%clas noise", 1, "unknown");
    check(b"%class nois", 8, "write one of noise, drop, critical, anomaly");
    check(b"%slower 2 took=", 9, "add a unit");
    check(b"%slower 2s", 11, "empty pattern");
    check(b"%slower 2s a && b", 12, "one part");
    assert_eq!(read(b"\\q\n\\w\nfine\n!\n").unwrap_err().len(), 3, "all mistakes at once");
}

#[test]
fn options_are_rule_bodies() {
    let rule = parse_rule("-e", 2, Effect::Noise, b"#tag && x$").unwrap();
    assert_eq!((rule.parts.len(), rule.place.to_string().as_str()), (2, "-e:2"));
    let rule = parse_rule("-k", 1, Effect::Keep, b" 503 ").unwrap();
    assert_eq!((rule.parts[0].spellings[0].as_slice(), &*rule.text), (&b" 503 "[..], &b" 503 "[..]));
    assert_eq!(parse_rule("-k", 1, Effect::Keep, b"a\\").unwrap_err().to_string().find("-k:1:2"), Some(0));
}

proptest::proptest! {
    #[test]
    fn escape_round_trips(bytes: Vec<u8>) {
        let Some(escaped) = escape(&bytes) else { return Ok(()) };
        proptest::prop_assert_eq!(literal(&escaped), bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = read(&bytes);
    }
}
