//! Text of others on one line of the log: quoted or escaped.

use std::fmt::Write;

use halves::escape::{OneLine, is_unfit};

/// Appends `text` in double quotes, escaped as in JSON (RFC 8259, section 7), which readers of
/// logfmt understand, too. Every character that [`is_unfit`] for a log is escaped in addition,
/// because logs are read on terminals.
pub(super) fn quote(text: &str, out: &mut String) {
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
pub(super) fn word(text: &str, out: &mut String) {
    let plain = |c: char| !(c.is_whitespace() || is_unfit(c) || matches!(c, '"' | '\\' | '='));
    if !text.is_empty() && text.chars().all(plain) {
        out.push_str(text);
    } else {
        quote(text, out);
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
            assert_eq!(written(quote, text), quoted);
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
            assert_eq!(written(word, text), out);
        }
    }

    #[test]
    fn joined_lines_are_escaped() {
        assert_eq!(one_line("a:\n    b\n"), "a: b");
        assert_eq!(one_line("esc \u{1b}[31m"), "esc \\u{1b}[31m");
        assert_eq!(one_line("a\r\nb\u{85}c\rd"), "a b\\u{85}c\\rd");
    }
}
