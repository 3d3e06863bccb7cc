//! The parts of a note of the help, which is text with lines and columns.

/// A part of a note.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Paragraph(String),
    /// A row of a table: a term, and its description.
    Row(String, String),
}

/// The lowest indentation of a line that continues the description of a row.
const CONTINUATION: usize = 8;

/// Splits a note into its parts.
pub(super) fn parts(note: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = note.lines().peekable();
    while let Some(line) = lines.next() {
        let (indentation, text) = indentation(line);
        let continues = lines
            .peek()
            .is_some_and(|next| self::indentation(next).0 >= CONTINUATION);
        match (indentation, parts.last_mut()) {
            (CONTINUATION.., Some(Part::Row(_, description) | Part::Paragraph(description))) => {
                append(description, text);
            }
            (0, Some(Part::Paragraph(paragraph))) => append(paragraph, text),
            (0, _) => parts.push(Part::Paragraph(text.to_owned())),
            _ => match text.split_once("  ") {
                Some((term, description)) => {
                    let description = description.trim_start().to_owned();
                    parts.push(Part::Row(term.to_owned(), description));
                }
                // A long term has its description on the next line.
                None if continues => parts.push(Part::Row(text.to_owned(), String::new())),
                None => parts.push(Part::Paragraph(text.to_owned())),
            },
        }
    }
    parts
}

/// Returns the number of spaces at the beginning, and the rest.
fn indentation(line: &str) -> (usize, &str) {
    let text = line.trim_start_matches(' ');
    (line.len() - text.len(), text)
}

fn append(text: &mut String, more: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paragraph(text: &str) -> Part {
        Part::Paragraph(text.to_owned())
    }

    fn row(term: &str, description: &str) -> Part {
        Part::Row(term.to_owned(), description.to_owned())
    }

    #[test]
    fn lines_of_text_are_one_paragraph() {
        let note = "TERM: keep accepting,\nthen accept no more.";
        let text = "TERM: keep accepting, then accept no more.";
        assert_eq!(parts(note), [paragraph(text)]);
        assert_eq!(parts(""), []);
    }

    #[test]
    fn columns_are_rows() {
        let note = "An ADDRESS is one of these:\n  PORT        TCP on\n              127.0.0.1\n  \
                    /PATH, ./PATH, unix:PATH\n              a Unix socket\n  Any may have this:\n  \
                    ,tls        TLS";
        let expected = [
            paragraph("An ADDRESS is one of these:"),
            row("PORT", "TCP on 127.0.0.1"),
            row("/PATH, ./PATH, unix:PATH", "a Unix socket"),
            paragraph("Any may have this:"),
            row(",tls", "TLS"),
        ];
        assert_eq!(parts(note), expected);
    }
}
