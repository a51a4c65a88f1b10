//! Text in columns, as wide as what stands in them; where there is no room for all, the least important go.

/// How far columns stand apart.
const GAP: &str = "  ";
/// The rank of a column that never goes.
pub const STAYS: u8 = u8::MAX;
/// The widest that a column is made for the sake of one cell; that one pushes the rest of its line aside.
const CHARS_MAX: usize = 256;
/// So much of the last column is shown before others stay: the rest of it is cut off.
const LAST_CHARS: usize = 24;

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What stands above it.
    pub title: &'static str,
    /// Numbers end at the same place, text begins there.
    pub is_number: bool,
    /// Where there is no room, the one with the smallest goes.
    pub rank: u8,
}

/// A column of words.
#[must_use]
pub const fn text(title: &'static str, rank: u8) -> Column {
    Column { title, is_number: false, rank }
}

/// A column of numbers.
#[must_use]
pub const fn number(title: &'static str, rank: u8) -> Column {
    Column { title, is_number: true, rank }
}

/// Lays rows out, each with a cell for each column; a column without any text is left out, a cell without one is `-`.
/// `width` is that of the terminal: what is longer is cut off there. Without one nothing is.
#[must_use]
pub fn lay_out(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> String {
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| match rows.iter().map(|row| chars(&row[at])).max() {
            None | Some(0) => 0,
            Some(widest) => widest.max(chars(columns[at].title)).min(CHARS_MAX),
        })
        .collect();
    let mut shown: Vec<usize> = (0..columns.len()).filter(|at| widths[*at] > 0).collect();
    let room = width.unwrap_or(usize::MAX);
    let needed = |shown: &[usize]| {
        let widths = shown.iter().map(|at| match *at + 1 == columns.len() {
            true => widths[*at].min(LAST_CHARS),
            false => widths[*at],
        });
        widths.sum::<usize>() + GAP.len() * shown.len().saturating_sub(1)
    };
    while needed(&shown) > room
        && let Some(least) = shown.iter().copied().min_by_key(|at| columns[*at].rank)
        && columns[least].rank < STAYS
    {
        shown.retain(|at| *at != least);
    }
    let titles: Vec<_> = columns.iter().map(|column| column.title.to_owned()).collect();
    let mut text = String::new();
    for row in [&titles].into_iter().chain(rows) {
        let cells: Vec<_> = shown
            .iter()
            .map(|at| {
                let (cell, width) = (if row[*at].is_empty() { "-" } else { &row[*at] }, widths[*at]);
                if columns[*at].is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            })
            .collect();
        text.push_str(&cut(cells.join(GAP).trim_end(), room));
        text.push('\n');
    }
    text
}

/// A line that stands alone, and a newline.
#[must_use]
pub fn line(text: &str, width: Option<usize>) -> String {
    cut(text, width.unwrap_or(usize::MAX)) + "\n"
}

/// A line that is no longer than this.
#[must_use]
pub fn cut(line: &str, chars_max: usize) -> String {
    if chars(line) <= chars_max {
        return line.to_owned();
    }
    let mut short: String = line.chars().take(chars_max.saturating_sub(1)).collect();
    short.push('…');
    short
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [text("NAME", STAYS), number("N", 1), text("WORD", 2), text("WHY", STAYS)];

    #[track_caller]
    fn check(rows: &[[&str; 4]], width: Option<usize>, expected: &[&str]) {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        assert_eq!(lay_out(&COLUMNS, &rows, width).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn as_wide_as_what_stands_there() {
        let rows = [["a", "1", "x", ""], ["longer", "1000", "", ""]];
        check(&rows, None, &["NAME       N  WORD", "a          1  x", "longer  1000  -"]);
        check(&rows, Some(18), &["NAME       N  WORD", "a          1  x", "longer  1000  -"]);
        check(&rows, Some(17), &["NAME    WORD", "a       x", "longer  -"]);
        check(&rows, Some(11), &["NAME", "a", "longer"]);
        check(&[], None, &[""]);
    }

    #[test]
    fn the_last_one_is_cut_off_and_pushes_none_out() {
        let why = "é".repeat(100);
        let rows = [["a", "1", "x", why.as_str()]];
        let line = format!("a     1  x     {}…", "é".repeat(24));
        check(&rows, Some(40), &["NAME  N  WORD  WHY", &line]);
        check(&rows, None, &["NAME  N  WORD  WHY", &format!("a     1  x     {why}")]);
    }
}
