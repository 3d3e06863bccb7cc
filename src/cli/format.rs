//! The formats of a log line: text for people, logfmt and JSON for programs. Foreign text is quoted
//! or escaped, and stays on one line.

use std::fmt::Write;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use halves::escape::{OneLine, is_unfit};
use humantime::format_rfc3339_millis;

/// The format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Format {
    /// `closed conn=1 reason=eof`
    #[default]
    Text,
    /// `2023-11-14T22:13:20.123Z closed conn=1 reason=eof`
    TimedText,
    /// `ts=1700000000.123 event=closed conn=1 reason=eof`
    Logfmt,
    /// `{"ts":1700000000.123,"event":"closed","conn":1,"reason":"eof"}`
    Json,
}

/// One line of the log. Its fields are the same in every format.
#[derive(Debug)]
pub(super) struct Line {
    event: &'static str,
    fields: Vec<(&'static str, Value)>,
    /// Added in parentheses at the end of a text line. Other formats leave it out.
    remark: &'static str,
}

#[derive(Debug)]
enum Value {
    Number(u64),
    /// Quoted only if it is not one word.
    Word(String),
    /// Always quoted.
    Text(String),
    /// With its unit in text; in seconds in JSON. `Duration::MAX` is `off` in text and null in
    /// JSON.
    Time(Duration),
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "logfmt" => Ok(Self::Logfmt),
            "json" => Ok(Self::Json),
            _ => Err("not a format; write text, logfmt or json".to_owned()),
        }
    }
}

impl Line {
    pub(super) fn new(event: &'static str) -> Self {
        Self {
            event,
            fields: Vec::with_capacity(8),
            remark: "",
        }
    }

    pub(super) fn number(self, key: &'static str, number: impl TryInto<u64>) -> Self {
        self.with(key, Value::Number(number.try_into().unwrap_or(u64::MAX)))
    }

    pub(super) fn word(self, key: &'static str, word: &(impl ToString + ?Sized)) -> Self {
        self.with(key, Value::Word(word.to_string()))
    }

    pub(super) fn text(self, key: &'static str, text: &(impl ToString + ?Sized)) -> Self {
        self.with(key, Value::Text(text.to_string()))
    }

    pub(super) fn time(self, key: &'static str, time: Duration) -> Self {
        self.with(key, Value::Time(time))
    }

    pub(super) fn remark(mut self, remark: &'static str) -> Self {
        self.remark = remark;
        self
    }

    fn with(mut self, key: &'static str, value: Value) -> Self {
        self.fields.push((key, value));
        self
    }
}

impl Format {
    /// Returns this format, with the time in each line of text if `timed`. The other formats always
    /// have the time.
    pub(super) fn with_time(self, timed: bool) -> Self {
        match self {
            Self::Text if timed => Self::TimedText,
            other => other,
        }
    }

    /// Returns true for the formats that people read.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::TimedText)
    }

    /// Returns the line with its newline; `now` is the time since 1970.
    pub(super) fn render(self, line: &Line, now: Duration) -> String {
        let mut out = String::with_capacity(160);
        let (secs, millis) = (now.as_secs(), now.subsec_millis());
        let event = line.event;
        let _ = match self {
            Self::Text => out.write_str(event),
            Self::TimedText => {
                // RFC 3339, UTC.
                let time = format_rfc3339_millis(UNIX_EPOCH + now);
                write!(out, "{time} {event}")
            }
            Self::Logfmt => write!(out, "ts={secs}.{millis:03} event={event}"),
            Self::Json => write!(out, r#"{{"ts":{secs}.{millis:03},"event":"{event}""#),
        };
        for (key, value) in &line.fields {
            // Faster than `write!`: each connection has a line.
            if self == Self::Json {
                out.extend([",\"", key, "\":"]);
                value.json(&mut out);
            } else {
                out.extend([" ", key, "="]);
                value.plain(&mut out);
            }
        }
        match self {
            Self::Json => out.push('}'),
            _ if self.is_text() && !line.remark.is_empty() => {
                let _ = write!(out, " ({})", line.remark);
            }
            _ => {}
        }
        out.push('\n');
        out
    }
}

impl Value {
    fn plain(&self, out: &mut String) {
        let _ = match self {
            Self::Number(number) => write!(out, "{number}"),
            Self::Time(Duration::MAX) => write!(out, "off"),
            Self::Time(time) if time.subsec_millis() == 0 => write!(out, "{}s", time.as_secs()),
            Self::Time(time) => write!(out, "{}ms", time.as_millis()),
            Self::Word(word) => return append_word(word, out),
            Self::Text(text) => return append_quoted(text, out),
        };
    }

    fn json(&self, out: &mut String) {
        let _ = match self {
            Self::Number(number) => write!(out, "{number}"),
            Self::Time(Duration::MAX) => write!(out, "null"),
            Self::Time(time) if time.subsec_millis() == 0 => write!(out, "{}", time.as_secs()),
            Self::Time(time) => write!(out, "{}.{:03}", time.as_secs(), time.subsec_millis()),
            Self::Word(text) | Self::Text(text) => return append_quoted(text, out),
        };
    }
}

/// Appends `text` in double quotes, escaped as in JSON (RFC 8259, section 7), which readers of
/// logfmt understand, too. Every character that [`is_unfit`] for a log is escaped in addition,
/// because logs are read on terminals.
pub(super) fn append_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unfit(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends `text` unchanged if it is one word of logfmt, or else in quotes.
fn append_word(text: &str, out: &mut String) {
    let plain = |c: char| !(c.is_whitespace() || is_unfit(c) || matches!(c, '"' | '\\' | '='));
    if !text.is_empty() && text.chars().all(plain) {
        out.push_str(text);
    } else {
        append_quoted(text, out);
    }
}

/// Returns `text` on one line, without quotes: joins its lines and escapes unfit characters.
pub(super) fn one_line(text: &str) -> String {
    let words = text.lines().map(str::trim).filter(|line| !line.is_empty());
    OneLine(words.collect::<Vec<_>>().join(" ")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(1_700_000_000_007);

    fn closed() -> Line {
        Line::new("closed")
            .number("conn", 1_u64)
            .word("peer", "127.0.0.1:4321")
            .word("reason", "two words")
            .text("error", "a \"b\"\nc")
    }

    #[test]
    fn a_line_has_the_same_fields_in_every_format() {
        for (format, rendered) in [
            (
                Format::Text,
                r#"closed conn=1 peer=127.0.0.1:4321 reason="two words" error="a \"b\"\nc""#,
            ),
            (
                Format::TimedText,
                r#"2023-11-14T22:13:20.007Z closed conn=1 peer=127.0.0.1:4321 reason="two words" error="a \"b\"\nc""#,
            ),
            (
                Format::Logfmt,
                r#"ts=1700000000.007 event=closed conn=1 peer=127.0.0.1:4321 reason="two words" error="a \"b\"\nc""#,
            ),
            (
                Format::Json,
                r#"{"ts":1700000000.007,"event":"closed","conn":1,"peer":"127.0.0.1:4321","reason":"two words","error":"a \"b\"\nc"}"#,
            ),
        ] {
            assert_eq!(format.render(&closed(), NOW), format!("{rendered}\n"));
        }
    }

    #[test]
    fn times_have_their_unit_in_text_and_are_seconds_in_json() {
        for (time, plain, json) in [
            (Duration::from_secs(30), "30s", "30"),
            (Duration::from_mins(5), "300s", "300"),
            (Duration::from_millis(1500), "1500ms", "1.500"),
            (Duration::MAX, "off", "null"),
        ] {
            let line = Line::new("e").time("t", time);
            assert_eq!(Format::Text.render(&line, NOW), format!("e t={plain}\n"));
            let rendered = Format::Json.render(&line, NOW);
            assert!(rendered.ends_with(&format!("\"t\":{json}}}\n")));
        }
    }

    #[test]
    fn text_has_the_time_only_if_it_is_timed() {
        let formats = [Format::Text, Format::Logfmt, Format::Json];
        assert_eq!(formats.map(|format| format.with_time(false)), formats);
        let timed = [Format::TimedText, Format::Logfmt, Format::Json];
        assert_eq!(formats.map(|format| format.with_time(true)), timed);
    }

    #[test]
    fn the_time_is_a_date_in_every_year() {
        for (secs, date) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_795_737_599, "2026-11-26T23:59:59.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            let line = Format::TimedText.render(&Line::new("e"), Duration::from_secs(secs));
            assert_eq!(line, format!("{date} e\n"));
        }
    }

    #[test]
    fn a_remark_is_in_text_only() {
        let line = Line::new("draining").remark("a remark");
        let text = Format::Text.render(&line, NOW);
        assert_eq!(text, "draining (a remark)\n");
        let timed = Format::TimedText.render(&line, NOW);
        assert_eq!(timed, format!("2023-11-14T22:13:20.007Z {text}"));
        for format in [Format::Logfmt, Format::Json] {
            assert!(!format.render(&line, NOW).contains("remark"));
        }
    }

    fn written(write: fn(&str, &mut String), text: &str) -> String {
        let mut out = String::new();
        write(text, &mut out);
        out
    }

    #[test]
    fn quoted_text_stays_on_one_line() {
        for (text, quoted) in [
            ("", r#""""#),
            ("plain", r#""plain""#),
            ("a \"b\" \\c", r#""a \"b\" \\c""#),
            ("1\n2\r3\t4", r#""1\n2\r3\t4""#),
            ("\0\u{1b}[31m\u{7f}", r#""\u0000\u001b[31m\u007f""#),
            ("\u{85}\u{2028}\u{2029}", r#""\u0085\u2028\u2029""#),
            ("\u{202e}gpj.exe\u{200b}", r#""\u202egpj.exe\u200b""#),
            ("\u{e0041}", r#""\udb40\udc41""#),
            ("straße 🦀", r#""straße 🦀""#),
        ] {
            assert_eq!(written(append_quoted, text), quoted);
        }
    }

    #[test]
    fn only_text_that_is_not_one_word_is_quoted() {
        for (text, out) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[::1]:80"),
            ("eof", "eof"),
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("a=b", r#""a=b""#),
            ("a\\b", r#""a\\b""#),
            ("a\u{a0}b", "\"a\u{a0}b\""),
            ("@a\u{2066}b", r#""@a\u2066b""#),
            ("@a\u{200d}b", r#""@a\u200db""#),
        ] {
            assert_eq!(written(append_word, text), out);
        }
    }

    #[test]
    fn joined_lines_are_escaped() {
        assert_eq!(one_line("a:\n    b\n"), "a: b");
        assert_eq!(one_line("esc \u{1b}[31m"), "esc \\u{1b}[31m");
        assert_eq!(one_line("a\r\nb\u{85}c\rd"), "a b\\u{85}c\\rd");
    }
}
