//! Schedules.

use crate::config::decode::Cx;
use crate::config::kind::Form;
use crate::config::typed::{FromText, Wrong};

/// When something happens again and again: five fields, as crontab(5) has them, and a time zone where it is not UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(pub String);

impl Schedule {
    /// The five fields.
    #[must_use]
    pub fn fields(&self) -> String {
        self.0.split_ascii_whitespace().take(5).collect::<Vec<_>>().join(" ")
    }

    /// The name of the time zone; UTC where there is none.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.0.split_ascii_whitespace().nth(5).unwrap_or("UTC")
    }

    /// Whether there is a next time. In UTC: where a zone sets its clock back by half an hour, cronexpr's search may find no
    /// end. Any moment will do; February has 29 days every four years, but for one in 1900.
    fn comes(&self) -> bool {
        let crontab = cronexpr::parse_crontab(&format!("{} UTC", self.fields()));
        crontab.is_ok_and(|crontab| crontab.find_next("2024-01-01T00:00:00Z").is_ok())
    }
}

impl FromText for Schedule {
    const FORM: Form = Form { name: "a schedule", example: "0 3 * * *", pattern: "^([^ ]+ +){4,5}[^ ]+$|[$]" };

    fn from_text(text: &str, _: &Cx<'_>) -> Result<Self, Wrong> {
        let mut options = cronexpr::ParseOptions::default();
        options.fallback_timezone_option = cronexpr::FallbackTimezoneOption::UTC;
        let help = "write minute, hour, day, month and weekday, as in \"0 3 * * *\" (crontab(5))";
        cronexpr::parse_crontab_with(text, options).map_err(|e| {
            let why = e.to_string();
            let why = why.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned();
            Wrong::new(format!("{text:?} is no schedule: {why}"), help)
        })?;
        let schedule = Schedule(text.to_owned());
        match schedule.comes() {
            true => Ok(schedule),
            false => Err(Wrong::new(
                format!("{text:?} never comes: {}", no_such_day(text)),
                "write a day that its month has",
            )),
        }
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

/// Why a schedule never comes: its day and its months, as people call them.
fn no_such_day(schedule: &str) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut fields = schedule.split_whitespace().skip(2);
    let (day, months) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    let name = |month: &str| match month.parse::<usize>() {
        Ok(number @ 1..=12) => MONTHS[number - 1].to_owned(),
        _ => month.to_owned(),
    };
    let months: Vec<_> = months.split(',').map(name).collect();
    format!("{day} {} never occurs", months.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_it_comes() {
        let comes = |text: &str| Schedule(text.into()).comes();
        assert!(comes("0 3 * * *") && comes("0 12 29 2 * Europe/Berlin"));
        assert!(!comes("0 0 30 2 *") && !comes("0 0 31 4,6 * Europe/Berlin"));
        // On that night the clock there is set back by half an hour.
        assert!(comes("0 5 7 4 * Australia/Lord_Howe"));
    }
}
