//! Durations and sizes, as people write them: a number and a unit, `5s`, `64MiB`.
//!
//! A bare number where a unit is due is an error: nobody remembers whether 5000 was seconds or milliseconds.

use std::time::Duration;

/// A quantity that could not be read; says what was wrong and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}; {help}")]
pub struct UnitError {
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub help: String,
    /// What was meant, where that is certain.
    pub meant: Option<String>,
}

const DURATIONS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// What people write for a unit, in lower case without a plural's s, and what can be meant by it.
const SPELLINGS: [(&str, &[&str]); 24] = [
    ("nanosecond", &["ns"]),
    ("microsecond", &["us"]),
    ("µ", &["us"]),
    ("millisecond", &["ms"]),
    ("milli", &["ms"]),
    ("msec", &["ms"]),
    ("sec", &["s"]),
    ("second", &["s"]),
    ("min", &["m"]),
    ("minute", &["m"]),
    ("hour", &["h"]),
    ("hr", &["h"]),
    ("day", &["d"]),
    ("week", &["w"]),
    ("month", &["d", "w"]),
    ("byte", &["B"]),
    ("k", &["kB", "KiB"]),
    ("kilobyte", &["kB", "KiB"]),
    ("m", &["MB", "MiB"]),
    ("meg", &["MB", "MiB"]),
    ("megabyte", &["MB", "MiB"]),
    ("g", &["GB", "GiB"]),
    ("gigabyte", &["GB", "GiB"]),
    ("t", &["TiB"]),
];

const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Reads a duration such as `500ms`, `1.5h` or `7d`. Units: `ns us ms s m h d w`.
///
/// # Errors
/// When the number or the unit is missing, unknown, negative or too large.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let nanos = parse(text, &DURATIONS, "duration", "5s", "ns us ms s m h d w")?;
    Ok(Duration::from_nanos(nanos))
}

/// Reads a size in bytes such as `64MiB` or `10kB`. Units: `B kB KiB MB MiB GB GiB TiB`.
///
/// # Errors
/// When the number or the unit is missing, unknown, negative or too large.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    parse(text, &SIZES, "size", "64MiB", "B kB KiB MB MiB GB GiB TiB")
}

/// Whether the text ends in a unit of size rather than of time, or in what people write for one, so that `64MiB or 1d` can be
/// told apart.
#[must_use]
pub fn is_size(text: &str) -> bool {
    let unit = text.trim().trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '));
    let spelled = || spelled(unit).is_some_and(|units| SIZES.iter().any(|(size, _)| units.contains(size)));
    unit.ends_with(['B', 'b']) || (unit != "m" && spelled())
}

/// The units that can be meant by what people write for one.
fn spelled(unit: &str) -> Option<&'static [&'static str]> {
    let lower = unit.to_lowercase();
    let singular = lower.strip_suffix('s').filter(|word| word.len() > 1).unwrap_or(&lower);
    SPELLINGS.iter().find(|(word, _)| *word == singular || *word == lower).map(|(_, meant)| *meant)
}

fn parse(text: &str, units: &[(&str, u64)], what: &str, example: &str, known: &str) -> Result<u64, UnitError> {
    let text = text.trim();
    let wrong = |text: String, help: String| UnitError { text, help, meant: None };
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    if number.is_empty() {
        let help = format!("write a number and a unit, as in {example:?}");
        return Err(wrong(format!("{text:?} is not a {what}"), help));
    }
    if unit.is_empty() {
        return Err(wrong(
            format!("{number} what? it has no unit"),
            format!("add a unit ({known}), as in {example:?}"),
        ));
    }
    let Some(&(_, scale)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(unknown_unit(text, number, unit, units, what, known));
    };
    let too_large = || wrong(format!("{text:?} is not a {what} that fits"), format!("write one such as {example:?}"));
    scaled(number, scale).ok_or_else(too_large)
}

fn unknown_unit(whole: &str, number: &str, unit: &str, units: &[(&str, u64)], what: &str, known: &str) -> UnitError {
    let text = format!("{whole:?}: a {what} has no unit {unit:?}");
    let near = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(name, _)| vec![*name]);
    let meant: Vec<_> = near.or_else(|| spelled(unit).map(<[_]>::to_vec)).unwrap_or_default();
    let meant: Vec<_> = meant.into_iter().filter(|unit| units.iter().any(|(name, _)| name == unit)).collect();
    let quoted: Vec<_> = meant.iter().map(|unit| format!("\"{number}{unit}\"")).collect();
    match &meant[..] {
        [] => UnitError { text, help: format!("the units are {known}"), meant: None },
        [one] => {
            UnitError { text, help: format!("did you mean {}?", quoted[0]), meant: Some(format!("{number}{one}")) }
        }
        _ => UnitError { text, help: format!("write {}", quoted.join(" or ")), meant: None },
    }
}

/// `number × scale` with up to 18 decimals, rounded down; none when it is malformed or does not fit.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = decimals.parse().ok()?;
    let power = 10u128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let part = u128::from(fraction).checked_mul(u128::from(scale))? / power;
    whole.checked_mul(scale)?.checked_add(u64::try_from(part).ok()?)
}

/// A duration that `parse_duration` reads as the same: `90s`, `1500ms`.
#[must_use]
pub fn write_duration(span: Duration) -> String {
    const UNITS: [(&str, u128); 7] = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
    ];
    let nanos = span.as_nanos();
    let fits = UNITS.iter().find(|(_, scale)| nanos != 0 && nanos.is_multiple_of(*scale));
    fits.map_or("0s".into(), |(unit, scale)| format!("{}{unit}", nanos / scale))
}

/// A size that `parse_size` reads as the same: `64MiB`, `1000B`.
#[must_use]
pub fn write_size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
    let fits = UNITS.iter().find(|(_, scale)| bytes != 0 && bytes.is_multiple_of(*scale));
    fits.map_or("0B".into(), |(unit, scale)| format!("{}{unit}", bytes / scale))
}

/// A size for people: `1.5 MiB`, `312 B`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    const STEPS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    STEPS.iter().find(|(_, scale)| bytes >= *scale).map_or(format!("{bytes} B"), |(unit, scale)| {
        let tenths = (u128::from(bytes) * 10 / u128::from(*scale)) as u64;
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    })
}

/// A duration for people: `1.2s`, `350ms`, `2h03m`.
#[must_use]
pub fn show_duration(span: Duration) -> String {
    let seconds = span.as_secs();
    let (large, small) = match seconds {
        0 => return format!("{}ms", span.as_millis()),
        1..60 => return format!("{seconds}.{}s", span.subsec_millis() / 100),
        60..3600 => ((seconds / 60, "m"), (seconds % 60, "s")),
        3600..86400 => ((seconds / 3600, "h"), (seconds / 60 % 60, "m")),
        _ => ((seconds / 86400, "d"), (seconds / 3600 % 24, "h")),
    };
    match small {
        (0, _) => format!("{}{}", large.0, large.1),
        _ => format!("{}{}{:02}{}", large.0, large.1, small.0, small.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(7 * 86400)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration(" 250 us "), Ok(Duration::from_micros(250)));
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("0.5KiB"), Ok(512));
    }

    #[test]
    fn mistakes_name_the_remedy() {
        let text = |r: Result<Duration, UnitError>| r.unwrap_err().to_string();
        assert!(text(parse_duration("5000")).contains("add a unit"));
        assert!(text(parse_duration("5S")).contains("did you mean \"5s\"?"));
        assert!(text(parse_duration("5 seconds")).contains("did you mean \"5s\"?"));
        assert!(text(parse_duration("-5s")).contains("not a duration"));
        assert!(text(parse_duration("99999999999w")).contains("that fits"));
        assert!(parse_size("10mib").unwrap_err().to_string().contains("10MiB"));
        assert!(parse_size("10 megabytes").unwrap_err().to_string().contains("\"10MB\" or \"10MiB\""));
        assert!(parse_duration("1.s").is_err() && parse_duration("1.2.3s").is_err());
    }

    #[test]
    fn shown_for_people() {
        assert_eq!(show_size(1536), "1.5 KiB");
        assert_eq!(show_duration(Duration::from_millis(1234)), "1.2s");
        assert_eq!(show_duration(Duration::from_secs(3723)), "1h02m");
    }
}
