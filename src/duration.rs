//! Durations, as a person writes them.

use std::time::Duration;

/// Reads `50us`, `500ms`, `10s`, `5m`, `1h`, or plain seconds.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let micros_each: u64 = match unit {
        "us" => 1,
        "ms" => 1000,
        "" | "s" => 1_000_000,
        "m" => 60 * 1_000_000,
        "h" => 60 * 60 * 1_000_000,
        _ => return Err(unreadable()),
    };
    if digits.is_empty() {
        return Err(unreadable());
    }
    let micros = digits.parse().ok().and_then(|n| micros_each.checked_mul(n));
    micros
        .map(Duration::from_micros)
        .ok_or_else(|| "that is longer than any clock counts".to_owned())
}

fn unreadable() -> String {
    "not a duration; write 50us, 500ms, 10s, 5m, 1h, or a number of seconds".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, micros) in [
            ("0", 0),
            ("0s", 0),
            ("0us", 0),
            ("50us", 50),
            ("500ms", 500_000),
            ("10s", 10_000_000),
            ("10", 10_000_000),
            ("5m", 300_000_000),
            ("1h", 3_600_000_000),
            ("007s", 7_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_says_what_is() {
        for text in [
            "", "s", "ms", "-1", "+1", "1.5s", "1 s", "10x", "1d", "1S", "٣s", "1sms", "us", "1u",
            "1µs", "50US",
        ] {
            let problem = parse(text).expect_err(text);
            assert!(problem.contains("500ms"), "{text}: {problem}");
        }
    }

    #[test]
    fn too_long_a_duration_is_no_panic() {
        for text in [
            "18446744073709551615h",
            "18446744073709552ms",
            "18446744073709551616us",
        ] {
            assert!(parse(text).expect_err(text).contains("longer"));
        }
        assert!(parse("18446744073709551615us").is_ok());
        assert!(parse("18446744073709551ms").is_ok());
    }
}
