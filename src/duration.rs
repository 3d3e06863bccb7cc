//! Parses durations in arguments and addresses.

use std::time::Duration;

use crate::error::Error;

/// The units with their lengths in microseconds, the longest first.
const UNITS: [(&str, u64); 6] = [
    ("d", 24 * 60 * 60 * 1_000_000),
    ("h", 60 * 60 * 1_000_000),
    ("m", 60 * 1_000_000),
    ("s", 1_000_000),
    ("ms", 1000),
    ("us", 1),
];

const UNREADABLE_MESSAGE: &str =
    "not a duration; write 50us, 500ms, 10s, 5m, 1h, 1d, 1m30s, 1.5s, or a number of seconds";
const TOO_LONG_MESSAGE: &str = "too long; the maximum is 584,542 years";

/// Parses a duration: numbers with the units `d`, `h`, `m`, `s`, `ms` or `us`, the longest unit
/// first. A number without a unit is in seconds.
///
/// The last number may have a fraction, as in `1.5s`. The result is a whole number of microseconds,
/// at most `u64::MAX` of them (584,542 years).
///
/// # Errors
///
/// Returns [`Error::Duration`] for any other text, for a fraction of a microsecond, and for a
/// duration beyond that maximum.
///
/// # Examples
///
/// ```
/// use halves::duration::parse_duration;
/// use std::time::Duration;
///
/// assert_eq!(parse_duration("1m30s")?, Duration::from_secs(90));
/// assert_eq!(parse_duration("1.5s")?, Duration::from_millis(1500));
/// assert_eq!(parse_duration("10")?, Duration::from_secs(10));
/// assert!(parse_duration("30s1m").is_err());
/// # Ok::<(), halves::Error>(())
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    let micros = micros(text).map_err(|problem| Error::Duration {
        text: text.to_owned(),
        problem: problem.into(),
    })?;
    Ok(Duration::from_micros(micros))
}

fn micros(text: &str) -> Result<u64, &'static str> {
    if is_number(text) {
        return part(text, 1_000_000);
    }
    let (mut rest, mut units, mut total) = (text, &UNITS[..], 0_u64);
    while !rest.is_empty() {
        let (number, after) = split_before(rest, |c| !is_digit_or_point(c));
        let (unit, after) = split_before(after, is_digit_or_point);
        let at = units.iter().position(|(name, _)| *name == unit);
        let at = at.ok_or(UNREADABLE_MESSAGE)?;
        let is_last = after.is_empty();
        if !is_number(number) || (number.contains('.') && !is_last) {
            return Err(UNREADABLE_MESSAGE);
        }
        let micros = part(number, units[at].1)?;
        total = total.checked_add(micros).ok_or(TOO_LONG_MESSAGE)?;
        (rest, units) = (after, &units[at + 1..]);
    }
    if text.is_empty() {
        Err(UNREADABLE_MESSAGE)
    } else {
        Ok(total)
    }
}

/// Parses a number of units, and returns it in microseconds.
fn part(number: &str, unit: u64) -> Result<u64, &'static str> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole = whole.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    let digits = fraction.trim_end_matches('0');
    let parts = u32::try_from(digits.len())
        .ok()
        .and_then(|length| 10_u128.checked_pow(length));
    let fraction = match (format!("0{digits}").parse::<u128>(), parts) {
        (Ok(n), Some(parts)) => n.checked_mul(unit.into()).map(|n| (n / parts, n % parts)),
        _ => None,
    };
    let Some((micros, 0)) = fraction else {
        return Err("not a whole number of microseconds");
    };
    let micros = u64::try_from(micros).ok();
    whole
        .zip(micros)
        .and_then(|(whole, micros)| whole.checked_add(micros))
        .ok_or(TOO_LONG_MESSAGE)
}

/// Returns true for digits, with at most one point between them.
fn is_number(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    [whole, fraction]
        .iter()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_digit_or_point(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

fn split_before(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        parse_duration(text).expect_err(text).to_string()
    }

    #[test]
    fn every_unit_is_parsed() {
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
            ("1d", 86_400_000_000),
            ("007s", 7_000_000),
        ] {
            let read = parse_duration(text).expect(text);
            assert_eq!(read, Duration::from_micros(micros), "{text}");
        }
    }

    #[test]
    fn several_units_and_a_fraction_are_parsed() {
        for (text, micros) in [
            ("1m30s", 90_000_000),
            ("1d12h", 129_600_000_000),
            ("1s500ms", 1_500_000),
            ("2h0m1us", 7_200_000_001),
            ("1.5s", 1_500_000),
            ("1.5", 1_500_000),
            ("0.5h", 1_800_000_000),
            ("1m1.25s", 61_250_000),
            ("1.000000s", 1_000_000),
            ("0.0000000000000000000000000000000000000000000s", 0),
        ] {
            let read = parse_duration(text).expect(text);
            assert_eq!(read, Duration::from_micros(micros), "{text}");
        }
    }

    #[test]
    fn a_bad_duration_is_an_error_that_lists_the_forms() {
        for text in [
            "", "s", "ms", "-1", "+1", "1 s", "10x", "1S", "٣s", "1sms", "us", "1u", "1µs", "50US",
            "1s1m", "1s1s", "1m30", "1.5m30s", ".5s", "1.s", ".", "1..5s", "1.5.5s", "1e3s",
        ] {
            assert_eq!(
                problem(text),
                format!("bad duration '{text}': {UNREADABLE_MESSAGE}")
            );
        }
    }

    #[test]
    fn a_fraction_of_a_microsecond_is_refused() {
        for text in [
            "0.5us",
            "0.0000001s",
            "0.00000000000000000000000000000000000000000001d",
        ] {
            let line = problem(text);
            assert!(
                line.ends_with("not a whole number of microseconds"),
                "{line}"
            );
        }
    }

    #[test]
    fn a_duration_beyond_the_maximum_is_an_error() {
        for text in [
            "18446744073709551615h",
            "18446744073709552ms",
            "18446744073709551616us",
            "213503983d",
            "213503982d9h",
            "18446744073709.551616s",
        ] {
            assert!(problem(text).ends_with(TOO_LONG_MESSAGE), "{text}");
        }
        for text in [
            "18446744073709551615us",
            "18446744073709551ms",
            "18446744073709.551615s",
        ] {
            assert!(parse_duration(text).is_ok(), "{text}");
        }
    }
}
