//! Durations, as a person writes them.

use std::time::Duration;

/// Reads `500ms`, `10s`, `5m`, `1h`, or plain seconds.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let millis_each: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return Err(unreadable()),
    };
    if digits.is_empty() {
        return Err(unreadable());
    }
    let millis = digits.parse().ok().and_then(|n| millis_each.checked_mul(n));
    millis
        .map(Duration::from_millis)
        .ok_or_else(|| "that is longer than any clock counts".to_owned())
}

fn unreadable() -> String {
    "not a duration; write 500ms, 10s, 5m, 1h, or a number of seconds".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, millis) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("10", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("007s", 7_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_says_what_is() {
        for text in [
            "", "s", "ms", "-1", "+1", "1.5s", "1 s", "10x", "1d", "1S", "٣s", "1sms",
        ] {
            let problem = parse(text).expect_err(text);
            assert!(problem.contains("500ms"), "{text}: {problem}");
        }
    }

    #[test]
    fn too_long_a_duration_is_no_panic() {
        for text in ["18446744073709551615h", "99999999999999999999ms"] {
            assert!(parse(text).expect_err(text).contains("longer"));
        }
        assert!(parse("18446744073709551615ms").is_ok());
    }
}
