//! Parses a record, line by line.

use std::time::Duration;

use super::line::{MAX_DATA_BYTES, VERSION_LINE};
use super::{Record, RecordError, RecordEvent, Recorded, date};

/// The longest line, in bytes with its end: 4,096 bytes of data that are all escaped, a time, and a word.
pub(super) const MAX_LINE_BYTES: usize = 4 * MAX_DATA_BYTES + 64;

/// The state behind some whole lines.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// The number of lines so far.
    lines: usize,
    header: Header,
    record: Record,
}

/// The last line of the header that is parsed. Each may be left out, but the first.
#[derive(Debug, Default, PartialEq, PartialOrd)]
enum Header {
    #[default]
    Nothing,
    Version,
    Client,
    Server,
    Began,
}

impl Parser {
    /// Parses a line with its end.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<(), RecordError> {
        self.lines += 1;
        let parsed = text_of(line).and_then(|text| self.parse(text));
        parsed.map_err(|problem| RecordError::new(self.lines, problem))
    }

    /// Called after the last line.
    pub(super) fn finish(self) -> Result<Record, RecordError> {
        if self.header == Header::Nothing {
            let problem = format!("the text is empty; a record begins with {VERSION_LINE:?}");
            return Err(RecordError::new(1, problem));
        }
        Ok(self.record)
    }

    fn parse(&mut self, line: &str) -> Result<(), String> {
        if self.header == Header::Nothing {
            return self.parse_version(line);
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let next = match word {
            "client" => Header::Client,
            "server" => Header::Server,
            "began" => Header::Began,
            _ => return self.parse_event(word, rest),
        };
        if next <= self.header || !self.record.events.is_empty() {
            return Err(format!(
                "{word:?} is out of place; client, server and began stand once each, in this order, in \
                 front of the events"
            ));
        }
        match word {
            "client" => self.record.client = address(rest)?,
            "server" => self.record.server = address(rest)?,
            _ => self.record.began = Some(began(rest)?),
        }
        self.header = next;
        Ok(())
    }

    fn parse_version(&mut self, line: &str) -> Result<(), String> {
        if line == VERSION_LINE {
            self.header = Header::Version;
            return Ok(());
        }
        Err(match line.strip_prefix("halves-record ") {
            Some(version) => format!("version {version:?} of records is not known; only 1 is"),
            None => format!("a record begins with {VERSION_LINE:?}"),
        })
    }

    fn parse_event(&mut self, time: &str, rest: &str) -> Result<(), String> {
        let at = parse_time(time)?;
        if let Some(last) = self.record.events.last() {
            if at < last.at {
                return Err(format!(
                    "the time {time} is earlier than that of the event before"
                ));
            }
            if matches!(last.what, Recorded::Closed | Recorded::Cut(_)) {
                return Err("no event follows closed or cut".to_owned());
            }
        }
        let what = parse_what(rest)?;
        self.record.events.push(RecordEvent::new(at, what));
        Ok(())
    }
}

/// Returns a line without its end, as ASCII text.
fn text_of(line: &[u8]) -> Result<&str, String> {
    if line.len() > MAX_LINE_BYTES {
        return Err(format!(
            "the line is too long; it has at most {MAX_LINE_BYTES} bytes"
        ));
    }
    let Some(line) = line.strip_suffix(b"\n") else {
        return Err(
            "the line has no line end, so it may be incomplete; add one or remove the line".into(),
        );
    };
    if line.ends_with(b"\r") {
        return Err("a carriage return; lines end with a line feed only".to_owned());
    }
    match line.iter().find(|byte| !matches!(byte, b' '..=b'~')) {
        Some(byte) => Err(format!("the byte \\x{byte:02x} must be escaped")),
        None => Ok(std::str::from_utf8(line).unwrap_or_default()),
    }
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let (seconds, micros) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = (is_number(seconds) && is_number(micros) && micros.len() <= 6).then(|| {
        seconds
            .parse()
            .ok()
            .zip(format!("{micros:0<6}").parse().ok())
    });
    let (seconds, micros): (u64, u32) = parsed.flatten().ok_or_else(|| {
        format!(
            "{text:?} is not a time; expected seconds with at most six decimals, as in 1.500000"
        )
    })?;
    Ok(Duration::new(seconds, micros * 1000))
}

fn parse_what(text: &str) -> Result<Recorded, String> {
    let (word, value) = text.split_once(' ').unwrap_or((text, ""));
    match (word, value) {
        ("in", "end") => Ok(Recorded::InEnd),
        ("out", "end") => Ok(Recorded::OutEnd),
        ("in", data) => parse_data(data).map(Recorded::In),
        ("out", data) => parse_data(data).map(Recorded::Out),
        ("cut", cause) if !cause.is_empty() => parse_text(cause).map(Recorded::Cut),
        _ => match text {
            "reset" => Ok(Recorded::Reset),
            "closed" => Ok(Recorded::Closed),
            _ => Err(format!(
                "{text:?} is not an event; expected in \"data\", out \"data\", in end, out end, reset, \
                 cut with its cause, or closed"
            )),
        },
    }
}

fn parse_data(text: &str) -> Result<Vec<u8>, String> {
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let data = quoted.map(|quoted| unescape(quoted, true)).transpose()?;
    match data {
        Some(data) if data.len() > MAX_DATA_BYTES => Err(format!(
            "too much data; a line has at most {MAX_DATA_BYTES} bytes of it"
        )),
        Some(data) if !data.is_empty() => Ok(data),
        _ => Err("expected end, or data in quotes of at least one byte".to_owned()),
    }
}

fn address(text: &str) -> Result<String, String> {
    match parse_text(text)? {
        text if text.is_empty() => Err("the address is empty; leave the line out".to_owned()),
        text => Ok(text),
    }
}

fn parse_text(text: &str) -> Result<String, String> {
    match String::from_utf8(unescape(text, false)?) {
        Ok(text) if text.len() <= MAX_DATA_BYTES => Ok(text),
        Ok(_) => Err(format!(
            "the text is too long; it has at most {MAX_DATA_BYTES} bytes"
        )),
        Err(_) => Err("the escaped bytes are not UTF-8".to_owned()),
    }
}

fn began(text: &str) -> Result<std::time::SystemTime, String> {
    date::parse(text).ok_or_else(|| {
        format!("{text:?} is not a date; expected one as in 2026-11-27T13:46:51.123456Z")
    })
}

/// Returns the bytes of escaped text.
fn unescape(text: &str, in_quotes: bool) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'"' && in_quotes {
            return Err("a quote within data must be escaped, as \\\"".to_owned());
        }
        bytes.push(if byte == b'\\' {
            escaped(&mut rest)?
        } else {
            byte
        });
    }
    Ok(bytes)
}

/// Returns the byte of the escape sequence behind a backslash.
fn escaped(rest: &mut impl Iterator<Item = u8>) -> Result<u8, String> {
    let mut next = || rest.next();
    Err(match next() {
        Some(b'n') => return Ok(b'\n'),
        Some(b'r') => return Ok(b'\r'),
        Some(b't') => return Ok(b'\t'),
        Some(byte @ (b'\\' | b'"')) => return Ok(byte),
        Some(b'x') => match [next(), next()].map(hex_digit) {
            [Some(high), Some(low)] => return Ok(16 * high + low),
            _ => "\\x needs two hexadecimal digits".to_owned(),
        },
        Some(byte) => format!("\\{} is not an escape sequence", char::from(byte)),
        None => "a backslash at the end; a backslash itself is \\\\".to_owned(),
    })
}

fn hex_digit(byte: Option<u8>) -> Option<u8> {
    let digit = char::from(byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}
