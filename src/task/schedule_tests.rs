//! Changes of the local clock, and clocks that are set. Rules of zones are read from files: those tests are serial, for others
//! count descriptors.

use super::*;
use proptest::prelude::*;
use serial_test::serial;

fn times(text: &str) -> Times {
    Times::new(&values::Schedule(text.into())).unwrap()
}

fn at(text: &str) -> Wall {
    Wall(text.parse::<Timestamp>().unwrap().as_microsecond())
}

fn shown(wall: Wall) -> String {
    Timestamp::from_microsecond(wall.0).unwrap().to_string()
}

/// The first times of a schedule after one, in UTC.
#[track_caller]
fn check(schedule: &str, after: &str, expected: &[&str]) {
    let times = times(schedule);
    let found = std::iter::successors(times.after(at(after)), |time| times.after(*time));
    assert_eq!(found.take(expected.len()).map(shown).collect::<Vec<_>>(), expected, "{schedule}");
}

#[test]
#[serial]
fn five_fields_and_a_zone() {
    check("0 3 * * *", "2026-11-21T03:00:00Z", &["2026-11-22T03:00:00Z", "2026-11-23T03:00:00Z"]);
    check("0 3 * * *", "2026-11-21T02:59:59.999999Z", &["2026-11-21T03:00:00Z"]);
    check(
        "*/20 * * * *",
        "2026-11-21T00:01:00Z",
        &["2026-11-21T00:20:00Z", "2026-11-21T00:40:00Z", "2026-11-21T01:00:00Z"],
    );
    check("0 3 * * * Asia/Kolkata", "2026-11-21T00:00:00Z", &["2026-11-21T21:30:00Z"]);
    check("0  3 * * *  +02:00", "2026-11-21T00:00:00Z", &["2026-11-21T01:00:00Z"]);
    check("0 12 29 2 *", "2026-11-21T00:00:00Z", &["2028-02-29T12:00:00Z"]);
    check(
        "0 12 1 * MON",
        "2026-11-21T00:00:00Z",
        &["2026-11-23T12:00:00Z", "2026-11-30T12:00:00Z", "2026-12-01T12:00:00Z"],
    );
    assert_eq!(times("0 0 30 2 *").after(at("2026-11-21T00:00:00Z")), None);
    assert_eq!(times("0 0 * * *").after(Wall(i64::MAX)), None);
    for wrong in ["", "* * * *", "60 * * * *", "0 3 * * * Mars/Olympus"] {
        let why = Times::new(&values::Schedule(wrong.into())).unwrap_err();
        assert!(why.contains("is no schedule") && !why.contains('\n'), "{why}");
    }
}

/// Berlin, 2026-03-29: after 01:59 comes 03:00, at 01:00 UTC.
#[test]
#[serial]
fn the_clock_is_set_forward() {
    let night = "2026-03-28T20:00:00Z";
    let (moment, next_day) = ("2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z");
    check("30 2 * * * Europe/Berlin", night, &[moment, next_day]);
    check("0 2 * * * Europe/Berlin", night, &[moment, "2026-03-30T00:00:00Z"]);
    check("0,20,40 2,3 * * * Europe/Berlin", night, &[moment, "2026-03-29T01:20:00Z"]);
    check("30 1 * * * Europe/Berlin", night, &["2026-03-29T00:30:00Z", "2026-03-29T23:30:00Z"]);
    check("0 3 * * * Europe/Berlin", night, &[moment, "2026-03-30T01:00:00Z"]);
    check("*/30 2 * * * Europe/Berlin", night, &["2026-03-30T00:00:00Z"]);
    check("30 * * * * Europe/Berlin", "2026-03-29T00:00:00Z", &["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"]);
    check("0 * * * * Europe/Berlin", "2026-03-29T00:00:00Z", &[moment, "2026-03-29T02:00:00Z"]);
}

/// Berlin, 2026-10-25: after 02:59 comes 02:00, at 01:00 UTC.
#[test]
#[serial]
fn the_clock_is_set_back() {
    let night = "2026-10-24T20:00:00Z";
    check("30 2 * * * Europe/Berlin", night, &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    check("30 2 * * * Europe/Berlin", "2026-10-25T01:10:00Z", &["2026-10-26T01:30:00Z"]);
    check("0 2,3 * * * Europe/Berlin", night, &["2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"]);
    check("0 3 * * * Europe/Berlin", night, &["2026-10-25T02:00:00Z"]);
    let all = ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"];
    check("*/30 2 * * * Europe/Berlin", night, &all);
    check("*/30 * * * * Europe/Berlin", "2026-10-24T23:59:00Z", &all);
    check("0 * * * * Europe/Berlin", "2026-10-25T00:00:00Z", &["2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]);
}

/// Half an hour on Lord Howe Island, a midnight that is not there in Cairo, a day that is not there on Samoa.
#[test]
#[serial]
fn odd_changes() {
    check("15 2 * * * Australia/Lord_Howe", "2026-10-03T12:00:00Z", &["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"]);
    check("45 1 * * * Australia/Lord_Howe", "2026-04-04T12:00:00Z", &["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]);
    check("45 * * * * Australia/Lord_Howe", "2026-04-04T14:00:00Z", &["2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"]);
    check("0 5 * * * Australia/Lord_Howe", "2026-04-04T14:00:00Z", &["2026-04-04T18:30:00Z"]);
    check("* 5 * * * Australia/Lord_Howe", "2026-04-04T14:00:00Z", &["2026-04-04T18:30:00Z", "2026-04-04T18:31:00Z"]);
    check("0 0 * * * Africa/Cairo", "2026-04-23T12:00:00Z", &["2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"]);
    check("0 12 * * * Pacific/Apia", "2011-12-29T12:00:00Z", &["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z"]);
}

#[test]
fn a_clock_that_is_set() {
    let mut hourly = Schedule::new(times("0 * * * *"), at("2026-11-21T10:30:00Z"));
    let mut look = |now: &str, due: bool, next: &str| {
        assert_eq!(hourly.is_due(at(now)), due, "{now}");
        assert_eq!(hourly.next(), Some(at(next)), "{now}");
    };
    look("2026-11-21T10:59:59Z", false, "2026-11-21T11:00:00Z");
    look("2026-11-21T11:00:00Z", true, "2026-11-21T12:00:00Z");
    look("2026-11-21T11:00:00Z", false, "2026-11-21T12:00:00Z");
    look("2026-11-21T10:59:59Z", false, "2026-11-21T12:00:00Z");
    look("2026-11-21T11:00:01Z", false, "2026-11-21T12:00:00Z");
    look("2026-11-21T10:00:01Z", false, "2026-11-21T12:00:00Z");
    // A day forward: once, and not again when it is set back by a little.
    look("2026-11-22T11:30:00Z", true, "2026-11-22T12:00:00Z");
    look("2026-11-22T10:45:00Z", false, "2026-11-22T12:00:00Z");
    // By an hour and more: what the clock says now is right.
    look("2026-11-21T11:15:00Z", false, "2026-11-21T12:00:00Z");
    look("2026-11-21T12:00:00Z", true, "2026-11-21T13:00:00Z");
}

const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/St_Johns"];

/// Every minute from one time up to another, as a plain reading has it.
fn naive(fields: &Crontab, zone: &TimeZone, is_wild: bool, from: Wall, minutes: i64) -> Vec<Wall> {
    let matches = |local: DateTime| fields.matches(Offset::UTC.to_timestamp(local).unwrap()).unwrap();
    let minute = |number: i64| Timestamp::from_microsecond(from.0 + number * 60_000_000).unwrap();
    let mut had: Option<DateTime> = None;
    let mut found = Vec::new();
    for now in (0..=minutes).map(minute) {
        let local = zone.to_datetime(now);
        let last = *had.get_or_insert(local.checked_sub(SignedDuration::from_mins(1)).unwrap());
        // The local times that have come by since the last minute, and have not before.
        let mut passed: Vec<_> =
            std::iter::successors(Some(local), |time| time.checked_sub(SignedDuration::from_mins(1)).ok())
                .take_while(|time| *time > last)
                .collect();
        if is_wild {
            passed = vec![local];
        }
        had = Some(last.max(local));
        if passed.into_iter().any(matches) {
            found.push(Wall(now.as_microsecond()));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Around each change of a year: what is found is what a plain reading finds, minute by minute.
    #[test]
    #[serial]
    fn as_a_plain_reading_has_it(
        zone in prop::sample::select(ZONES.to_vec()),
        minute in prop::sample::select(vec!["0", "15", "30", "*/20", "0,45", "59", "*"]),
        hour in prop::sample::select(vec!["*", "0", "1", "2", "2,3", "1-3", "*/2", "23"]),
        change in 0usize..2,
    ) {
        let text = format!("{minute} {hour} * * * {zone}");
        let times = times(&text);
        let year = Timestamp::from_microsecond(at("2026-01-01T00:00:00Z").0).unwrap();
        let around = times.zone.following(year).nth(change).map_or(year, |change| change.timestamp());
        // A day before, so that no local time from before has not come by.
        let from = Wall(around.as_microsecond() - 86_400_000_000);
        let expected = naive(&times.fields, &times.zone, times.is_wild, from, 2880);
        let until = from.after(Duration::from_secs(2880 * 60));
        let found = std::iter::successors(times.after(Wall(from.0 - 1)), |time| times.after(*time));
        let found: Vec<_> = found.take_while(|time| *time <= until).collect();
        prop_assert_eq!(found, expected, "{}", text);
    }

    /// However a clock is set back by less than an hour, each time comes once; however it goes forward, it comes.
    #[test]
    fn each_time_comes_once(steps in prop::collection::vec(-50i64..100, 0..200)) {
        let start = at("2026-11-21T10:30:00Z");
        let mut schedule = Schedule::new(times("*/15 * * * *"), start);
        // The furthest that the clock has been, and what came.
        let (mut now, mut most, mut came) = (start, start, Vec::new());
        for minutes in steps {
            // Never back by an hour from where it has been.
            now = Wall((now.0 + minutes * 60_000_000).max(most.0 - 59 * 60_000_000));
            most = most.max(now);
            if schedule.is_due(now) {
                let last_time = now.0.div_euclid(900_000_000);
                prop_assert!(came.last().is_none_or(|last| *last < last_time), "twice");
                came.push(last_time);
            }
            prop_assert!(schedule.next().is_some_and(|next| next > now));
            let passed = most.0.div_euclid(900_000_000);
            let due = passed > start.0.div_euclid(900_000_000);
            prop_assert_eq!(came.last().copied(), due.then_some(passed), "missed");
        }
    }
}
