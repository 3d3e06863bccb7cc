//! The date in a record: RFC 3339 in UTC, with microseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The first time with a year of five digits.
const END: Duration = Duration::from_hours(70_389_528);

/// Returns the text of a time, or None if its year is not within 1970 to 9999.
pub(super) fn format(time: SystemTime) -> Option<String> {
    let since_epoch = time.duration_since(UNIX_EPOCH).ok()?;
    (since_epoch < END).then(|| humantime::format_rfc3339_micros(time).to_string())
}

/// Parses a text that [`format`] returns. None for every other text.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let time = humantime::parse_rfc3339(text).ok()?;
    // RFC 3339 permits other forms, too.
    (format(time).as_deref() == Some(text)).then_some(time)
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
