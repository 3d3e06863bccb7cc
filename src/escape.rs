//! Escapes foreign text for a line of a log.

use std::fmt::{self, Display, Write};

/// Displays a value on one line without hidden characters: each [unfit character](is_unfit) is
/// escaped, as `\n` or `\u{202e}`.
///
/// Clients choose a part of the text in logs, such as the names of their sockets and the input that
/// errors quote. Unescaped, such text can forge lines, move the cursor of a terminal, or reverse
/// the text beside it. The [`Display`] form of [`Event`](crate::Event) is escaped in this way.
/// Backslashes are not escaped, so an escape sequence may also be a part of the original text.
///
/// # Examples
///
/// ```
/// use halves::escape::OneLine;
///
/// assert_eq!(OneLine("a\nclosed conn=7").to_string(), "a\\nclosed conn=7");
/// assert_eq!(OneLine("\u{202e}gpj.exe").to_string(), "\\u{202e}gpj.exe");
/// assert_eq!(OneLine("straße 🦀").to_string(), "straße 🦀");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OneLine<T>(pub T);

impl<T: Display> Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaped(f), "{}", self.0)
    }
}

/// Escapes text on its way to a formatter.
struct Escaped<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_unfit) {
            let (fit, unfit) = rest.split_at(at);
            self.0.write_str(fit)?;
            let mut letters = unfit.chars();
            letters
                .next()
                .into_iter()
                .try_for_each(|c| write!(self.0, "{}", c.escape_default()))?;
            rest = letters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Returns true if a character must be escaped in a line of a log: control characters, line
/// separators, characters that change the direction of text, and invisible characters.
///
/// Combining accents and all spaces are fit.
///
/// # Examples
///
/// ```
/// use halves::escape::is_unfit;
///
/// assert!("\u{1b}\n\u{2028}\u{202e}\u{200b}".chars().all(is_unfit));
/// assert!(!"a e\u{301} ü 🦀".chars().any(is_unfit));
/// ```
#[must_use]
pub fn is_unfit(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    c.is_control()
        || HIDDEN_RANGES
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&c))
}

/// The first and the last character of each hidden range, in order: line and paragraph separators,
/// annotation characters, and all characters with the property `Default_Ignorable_Code_Point`,
/// which includes `Bidi_Control` (Unicode 16, DerivedCoreProperties.txt).
const HIDDEN_RANGES: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_and_hidden_characters_are_unfit() {
        let (first, last) = ('\0', char::MAX);
        let unfit = (first..=last).filter(|&c| is_unfit(c)).count();
        let hidden = |(first, last): &(char, char)| u32::from(*last) - u32::from(*first) + 1;
        // C0 with DEL, C1, and the ranges, which do not overlap.
        let expected = 33 + 32 + HIDDEN_RANGES.iter().map(hidden).sum::<u32>();
        assert_eq!(unfit, expected as usize);
        for c in
            "\0\n\r\t\u{1b}\u{7f}\u{85}\u{2028}\u{2029}\u{200d}\u{2066}\u{2069}\u{e0041}".chars()
        {
            assert!(is_unfit(c), "{c:?}");
        }
        for c in " ~ \u{a0}\u{3000}\u{301}é中🦀\u{fffd}".chars() {
            assert!(!is_unfit(c), "{c:?}");
        }
    }

    #[test]
    fn text_in_pieces_is_escaped_like_whole_text() {
        let text = format_args!("{}{}{}", "a\n", 'b', "\r\u{202e}c\\n").to_string();
        assert_eq!(OneLine(&text).to_string(), "a\\nb\\r\\u{202e}c\\n");
        assert_eq!(OneLine("\n\n").to_string(), "\\n\\n");
        assert_eq!(OneLine("").to_string(), "");
    }
}
