//! Writes the lines of a record.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::{RecordEvent, Recorded, date};

/// The first line.
pub(super) const VERSION_LINE: &str = "halves-record 1";
/// The most data in a line, in bytes before they are escaped.
pub(in crate::testing) const MAX_DATA_BYTES: usize = 4096;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends the lines in front of the events.
pub(in crate::testing) fn push_header(
    text: &mut String,
    client: &str,
    server: &str,
    began: Option<SystemTime>,
) {
    text.push_str(VERSION_LINE);
    text.push('\n');
    for (word, address) in [("client", client), ("server", server)] {
        if !address.is_empty() {
            push_text_line(text, word, address);
        }
    }
    if let Some(began) = began.and_then(date::format) {
        let _ = writeln!(text, "began {began}");
    }
}

/// Appends the lines of an event.
pub(in crate::testing) fn push_event(text: &mut String, event: &RecordEvent) {
    match &event.what {
        Recorded::In(data) => {
            push_data(text, event.at, "in", data, usize::MAX);
        }
        Recorded::Out(data) => {
            push_data(text, event.at, "out", data, usize::MAX);
        }
        Recorded::InEnd => push_words(text, event.at, "in end"),
        Recorded::OutEnd => push_words(text, event.at, "out end"),
        Recorded::Reset => push_words(text, event.at, "reset"),
        Recorded::Closed => push_words(text, event.at, "closed"),
        Recorded::Cut(cause) => {
            push_time(text, event.at);
            push_text_line(text, "cut", cause);
        }
    }
}

/// Appends lines of data, at most until the text has `max_bytes`. Returns the number of bytes of `data` that
/// are in them.
pub(in crate::testing) fn push_data(
    text: &mut String,
    at: Duration,
    word: &str,
    data: &[u8],
    max_bytes: usize,
) -> usize {
    let mut pushed = 0;
    while pushed < data.len() {
        let before = text.len();
        push_time(text, at);
        text.push_str(word);
        text.push_str(" \"");
        let piece = &data[pushed..][..MAX_DATA_BYTES.min(data.len() - pushed)];
        let mut taken = 0;
        for &byte in piece {
            let escaped = Escaped::of(byte, true);
            // Behind it, a quote and a line end.
            if text.len() + escaped.as_str().len() + 2 > max_bytes {
                break;
            }
            text.push_str(escaped.as_str());
            taken += 1;
        }
        if taken == 0 {
            text.truncate(before);
            break;
        }
        text.push_str("\"\n");
        pushed += taken;
        if taken < piece.len() {
            break;
        }
    }
    pushed
}

/// Returns data as a line has it.
pub(in crate::testing) fn quoted(data: &[u8]) -> String {
    let escaped = data.iter().map(|&byte| Escaped::of(byte, true));
    let text: String = escaped.map(|it| it.as_str().to_owned()).collect();
    format!("\"{text}\"")
}

fn push_words(text: &mut String, at: Duration, words: &str) {
    push_time(text, at);
    text.push_str(words);
    text.push('\n');
}

fn push_time(text: &mut String, at: Duration) {
    let _ = write!(text, "{}.{:06} ", at.as_secs(), at.subsec_micros());
}

/// Appends a word and text up to the end of the line. A quote needs no escape here.
fn push_text_line(text: &mut String, word: &str, value: &str) {
    text.push_str(word);
    text.push(' ');
    for byte in value.bytes() {
        text.push_str(Escaped::of(byte, false).as_str());
    }
    text.push('\n');
}

/// The ASCII text of one byte.
struct Escaped {
    bytes: [u8; 4],
    length: usize,
}

impl Escaped {
    fn of(byte: u8, in_quotes: bool) -> Self {
        let [high, low] = [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]);
        let (bytes, length) = match byte {
            b'\n' => (*b"\\n  ", 2),
            b'\r' => (*b"\\r  ", 2),
            b'\t' => (*b"\\t  ", 2),
            b'\\' => (*b"\\\\  ", 2),
            b'"' if in_quotes => (*b"\\\"  ", 2),
            b' '..=b'~' => ([byte, b' ', b' ', b' '], 1),
            _ => ([b'\\', b'x', high, low], 4),
        };
        Self { bytes, length }
    }

    fn as_str(&self) -> &str {
        // All of them are ASCII.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}
