//! The pages of `docs/` that the program makes.

use super::mistakes::{Said, Scene, folders, is_root};
use super::{hold_page, home, says};
use crate::harness::Folder;
use std::fmt::Write;

const NAME: &str = "config-mistakes.md";
/// Between what is wrong, what it has to do with, and what to do.
const BREAK: &str = "<br>";

/// `docs/configuration.md` is what `quell explain --reference` says.
#[test]
fn the_reference_is_fresh() {
    hold_page("configuration.md", &says(&Folder::new(), &["explain", "--reference"]));
}

/// `docs/config-mistakes.md` is what `quell check` says of the mistakes. A row that this user cannot make stays as it is.
#[test]
fn the_page_of_mistakes_is_fresh() {
    let kept = std::fs::read_to_string(home().join("docs").join(NAME)).unwrap_or_default();
    let row = |name: &String| {
        let number: usize = name[..2].parse().unwrap();
        let head = format!("| {number} |");
        match can_be_made(number) {
            true => row(&Scene::new(name)),
            false => kept.lines().find(|line| line.starts_with(&head)).unwrap_or(&head).to_owned(),
        }
    };
    hold_page(NAME, &page(&folders().iter().map(row).collect::<Vec<_>>()));
}

fn can_be_made(number: usize) -> bool {
    match number {
        41 | 42 => cfg!(feature = "full-tests") && is_root(),
        // Root is told that it is a mistake, everybody else that it may be one.
        45 => !is_root(),
        _ => true,
    }
}

fn row(scene: &Scene) -> String {
    let reports = scene.reports();
    let weight = match reports.first().map(|said| &*said.severity) {
        Some("error") => "mistake",
        Some(_) => "warning",
        None => "–",
    };
    let text: Vec<_> = reports.iter().map(cell).collect();
    let text = if text.is_empty() { "nothing".into() } else { text.join(BREAK) };
    let text = scene.unhosted(&text).replace('|', "\\|");
    let verb = if scene.is_of_host() { "check --host" } else { "check" };
    let title = scene.case.title.replace('|', "\\|").replace('<', "&lt;");
    format!("| {} | {title} | `{verb}` | {weight} | {text} |", scene.number)
}

/// What is said, as code, so that Markdown leaves it alone.
fn cell(said: &Said) -> String {
    let code = |text: &str| format!("`` {} ``", text.replace('\n', "⏎"));
    let at = |spot: &super::mistakes::Spot| format!("{}:{}:{}", spot.file, spot.line, spot.column);
    let mut text = code(&format!("{}: {}", at(&said.spot), said.message));
    // Writing to a String cannot fail.
    for note in &said.also {
        let _ = write!(text, "{BREAK}{}", code(&format!("{}: {}", at(&note.spot), note.message)));
    }
    if let Some(help) = &said.help {
        let _ = write!(text, "{BREAK}help: {}", code(help));
    }
    if let Some(fix) = &said.fix {
        let shown = if fix.replacement == " " { "␣" } else { &fix.replacement };
        let _ = write!(text, "{BREAK}write: {}", code(shown));
    }
    text
}

/// A row's text is about a place when it begins with one.
fn has_place(text: &str) -> bool {
    let place = text.trim_start_matches("`` ").split(": ").next().unwrap();
    let numbers: Vec<_> = place.split(':').skip(1).collect();
    numbers.len() == 2 && numbers.iter().all(|number| number.parse::<usize>().is_ok())
}

fn page(rows: &[String]) -> String {
    let texts: Vec<_> = rows.iter().map(|row| row.splitn(5, " | ").nth(4).unwrap_or("nothing |")).collect();
    let count = |holds: &dyn Fn(&str) -> bool| texts.iter().filter(|text| holds(text)).count();
    let all = texts.len();
    let escape = count(&|text| text == "nothing |");
    let placed = count(&has_place);
    let helped = count(&|text| text.contains("<br>help: ") || text.contains("<br>write: "));
    let written = count(&|text| text.contains("<br>write: "));
    format!(
        "\
# Mistakes in configurations, and what quell says

{all} mistakes that people make, each in a configuration that is right but for it: typing errors, keys of other programs,
things that contradict each other, things that are missing on the machine. They stand in
[tests/config/mistakes](../tests/config/mistakes), a folder each. The texts below are what `quell check` says of them: the
tests run the program on each and make this page from its answers, figures and all; they fail when it is stale, and
`QUELL_UPDATE=1 cargo test` makes it anew. Rows 41 and 42 need root and `--features full-tests`, row 45 needs somebody else:
for root it is a mistake. What depends on the machine is replaced: the folder by `/srv/shop`; owners, what holds a port, where
logs go and how much is free there by `…`.

Of {all} mistakes **{escape} escape**, so that nothing is said of them; **{placed}** are shown with file, line and column;
**{helped}** come with what to do, {written} of these with the very text to write. The tests write each such text into its
configuration, and then `check` has nothing more to say. These are the cases that quell was made to catch: that none escapes
says that none has come back, and nothing of mistakes that are not among them.

A mistake ends `check` with exit code 1, a warning only with `--strict`. `check --host` also looks at the machine, without
starting anything.

| # | mistake | seen by | is a | what is said |
|---|---|---|---|---|
{}
",
        rows.join("\n")
    )
}
