//! Messages between nodes, and their numbers.
//!
//! Redis sends a message to the nodes that are connected at that moment. Each run of a node numbers
//! its messages from 1, so other nodes see which are missing. A node repeats a message until Redis
//! has confirmed it, and other nodes drop what they have already seen.

/// The most runs of nodes that are remembered.
const MAX_ORIGINS: usize = 1024;
const MAX_NAME_BYTES: usize = 32;

/// A line of a client, as it is published: `ORIGIN NUMBER LINE`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// The run of a node: `NAME.START`.
    pub(crate) origin: &'a str,
    /// Counts the messages of the origin, from 1.
    pub(crate) number: u64,
    pub(crate) line: &'a str,
}

impl<'a> Message<'a> {
    /// Returns None if another program has published this.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut parts = str::from_utf8(bytes).ok()?.splitn(3, ' ');
        Some(Self {
            origin: parts.next()?,
            number: parts.next()?.parse().ok()?,
            line: parts.next()?,
        })
    }

    pub(crate) fn encode(&self) -> String {
        format!("{} {} {}", self.origin, self.number, self.line)
    }

    pub(crate) fn node(&self) -> &'a str {
        self.origin.split('.').next().unwrap_or_default()
    }
}

/// The last number of each origin.
#[derive(Default)]
pub(crate) struct Arrivals {
    /// The one with the latest message is the last.
    numbers: Vec<(String, u64)>,
}

impl Arrivals {
    /// Returns how many messages of its origin are missing before this one. None if it is a
    /// repetition. The first message from an origin is never after a gap, as its clients may have
    /// talked before this node was there.
    pub(crate) fn gap_before(&mut self, message: &Message<'_>) -> Option<u64> {
        let is_same = |(origin, _): &(String, u64)| origin == message.origin;
        let Some(index) = self.numbers.iter().rposition(is_same) else {
            if self.numbers.len() == MAX_ORIGINS {
                self.numbers.remove(0);
            }
            self.numbers.push((message.origin.into(), message.number));
            return Some(0);
        };
        let last = self.numbers[index].1;
        if message.number <= last {
            return None;
        }
        self.numbers[index].1 = message.number;
        self.numbers[index..].rotate_left(1);
        Some(message.number - last - 1)
    }
}

/// Checks the name of a node: it has no space and no dot, which separate the parts of a message.
pub(crate) fn node_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if (1..=MAX_NAME_BYTES).contains(&text.len()) && text.chars().all(allowed) {
        Ok(text.into())
    } else {
        Err("a name has 1 to 32 letters, digits or hyphens".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(origin: &str, number: u64) -> Message<'_> {
        let line = "hello";
        Message {
            origin,
            number,
            line,
        }
    }

    #[test]
    fn a_message_survives_its_encoding() {
        let line = "<a-1> two words  and spaces ";
        let sent = Message {
            line,
            ..message("a.1f", 7)
        };
        assert_eq!(Message::parse(sent.encode().as_bytes()), Some(sent));
        let parsed = Message::parse(b"a.1f 7 ").expect("an empty line");
        assert_eq!((parsed.node(), parsed.line), ("a", ""));
    }

    #[test]
    fn what_other_programs_publish_is_no_message() {
        for bytes in [
            &b""[..],
            b"hello",
            b"a.1 7",
            b"a.1 x line",
            b"a.1 -1 line",
            b"a.1 7 \xff",
        ] {
            assert_eq!(Message::parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn missing_numbers_are_counted_and_repetitions_seen() {
        let mut arrivals = Arrivals::default();
        for (origin, number, gap) in [
            ("a.1", 5, Some(0)),
            ("a.1", 6, Some(0)),
            ("b.1", 1, Some(0)),
            ("a.1", 6, None),
            ("a.1", 10, Some(3)),
            ("a.1", 7, None),
            ("a.2", 1, Some(0)),
            ("a.1", 11, Some(0)),
            ("b.1", u64::MAX, Some(u64::MAX - 2)),
        ] {
            let seen = arrivals.gap_before(&message(origin, number));
            assert_eq!(seen, gap, "{origin} {number}");
        }
    }

    #[test]
    fn the_origin_that_is_silent_longest_is_forgotten() {
        let mut arrivals = Arrivals::default();
        let origins: Vec<_> = (0..=MAX_ORIGINS).map(|n| format!("n{n}.1")).collect();
        for origin in &origins[..MAX_ORIGINS] {
            arrivals.gap_before(&message(origin, 1));
        }
        arrivals.gap_before(&message(&origins[0], 2));
        arrivals.gap_before(&message(&origins[MAX_ORIGINS], 1));
        assert_eq!(arrivals.numbers.len(), MAX_ORIGINS);
        assert_eq!(arrivals.gap_before(&message(&origins[0], 2)), None);
        assert_eq!(arrivals.gap_before(&message(&origins[1], 1)), Some(0));
    }

    #[test]
    fn a_name_has_up_to_32_letters_digits_or_hyphens() {
        for name in ["a", "web-1", &"x".repeat(32)] {
            assert_eq!(node_name(name), Ok(name.into()));
        }
        for name in ["", "a.b", "a b", "ä", &"x".repeat(33)] {
            assert!(node_name(name).is_err(), "{name}");
        }
    }
}
