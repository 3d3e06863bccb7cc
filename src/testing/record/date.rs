//! The date in a record: RFC 3339 in UTC, with microseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::service::civil;

const DAY_SECONDS: u64 = 24 * 60 * 60;
/// The length of `2026-11-27T13:46:51.123456Z`.
const LENGTH: usize = 27;

/// Returns the text of a time, or None if its year is not within 1970 to 9999.
pub(super) fn format(time: SystemTime) -> Option<String> {
    let since_epoch = time.duration_since(UNIX_EPOCH).ok()?;
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil(seconds / DAY_SECONDS);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (month, micros) = (month + 1, since_epoch.subsec_micros());
    (year <= 9999).then(|| {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    })
}

/// Parses a text that [`format`] returns. None for every other text.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    if text.len() != LENGTH || !text.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().ok();
    let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let seconds = days * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    let since_epoch = Duration::from_secs(seconds) + Duration::from_micros(number(20, 26)?);
    let time = UNIX_EPOCH.checked_add(since_epoch)?;
    // A date that does not exist, such as that of February 30, is not written so.
    (format(time).as_deref() == Some(text)).then_some(time)
}

/// Returns the number of days from 1970 to a date of the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    // The year begins in March, so that a leap day is its last day.
    let (year, month) = match month {
        3.. => (year, month - 3),
        _ => (year.checked_sub(1)?, month + 9),
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day;
    // The days from March of the year 0 to 1970, and one as the first day of a month is 1.
    days.checked_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(micros)
    }

    #[test]
    fn dates_are_written_and_parsed() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_827_696_000_001, "2000-02-29T12:34:56.000001Z"),
            (1_795_787_211_123_456, "2026-11-27T13:46:51.123456Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(format(at(micros)).as_deref(), Some(text));
            assert_eq!(parse(text), Some(at(micros)), "{text}");
        }
    }

    #[test]
    fn each_day_of_400_years_is_parsed_as_written() {
        for day in 0..146_097 {
            let time = at(day * DAY_SECONDS * 1_000_000);
            let text = format(time).expect("a year before 10000");
            assert_eq!(parse(&text), Some(time), "{text}");
        }
    }

    #[test]
    fn a_time_outside_of_four_digits_has_no_text() {
        assert_eq!(format(UNIX_EPOCH - Duration::from_nanos(1)), None);
        assert_eq!(format(at(253_402_300_800_000_000)), None);
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        for text in [
            "",
            "2026-11-27",
            "2026-02-30T00:00:00.000000Z",
            "2026-00-01T00:00:00.000000Z",
            "2026-13-01T00:00:00.000000Z",
            "2026-01-00T00:00:00.000000Z",
            "2026-01-01T24:00:00.000000Z",
            "2026-01-01T00:60:00.000000Z",
            "2026-01-01T00:00:60.000000Z",
            "2026-01-01t00:00:00.000000Z",
            "2026-01-01T00:00:00.000000+",
            "+026-01-01T00:00:00.000000Z",
            "1969-12-31T23:59:59.999999Z",
            "0000-01-01T00:00:00.000000Z",
            "2026-01-01T00:00:00.00000éZ",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
