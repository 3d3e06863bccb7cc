//! Paths in the code of a file that begin at the crate root: `crate::x`, `crate::{x, y}`,
//! `super::x` from a top module, `halves::x` in the command.

use crate::source::{Source, Token};

/// A path from the root: its first name (`*` for all names), and its line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RootPath<'a> {
    pub(crate) first: &'a str,
    pub(crate) line: usize,
}

/// In the order of the file.
pub(crate) fn paths(source: &Source) -> Vec<RootPath<'_>> {
    let tokens = source.tokens();
    // In the library this is the module `connection::halves`.
    let is_command = ["cli", "main"].contains(&source.module());
    let mut depth = source.modules().len();
    // The brace depths at which inline modules were opened.
    let (mut braces, mut inline) = (0_usize, Vec::new());
    let mut paths = Vec::new();
    for at in 0..tokens.len() {
        match tokens[at].text {
            "{" => {
                braces += 1;
                if at >= 2 && tokens[at - 2].text == "mod" {
                    inline.push(braces);
                    depth += 1;
                }
            }
            "}" => {
                if inline.pop_if(|opened| *opened == braces).is_some() {
                    depth -= 1;
                }
                braces = braces.saturating_sub(1);
            }
            _ if follows_path(&tokens[..at]) => {}
            "halves" if !is_command => {}
            "crate" | "halves" => first_names(&tokens[at + 1..], &mut paths),
            "super" => {
                let (mut ups, mut end) = (1, at + 1);
                while texts(&tokens[end..]).take(3).eq([":", ":", "super"]) {
                    (ups, end) = (ups + 1, end + 3);
                }
                if ups == depth {
                    first_names(&tokens[end..], &mut paths);
                }
            }
            _ => {}
        }
    }
    paths
}

/// Returns true if the next token is in the middle of a path. A leading `self::` does not count.
fn follows_path(before: &[Token<'_>]) -> bool {
    let mut before = texts(before).rev();
    before.next() == Some(":") && before.next() == Some(":") && before.next() != Some("self")
}

fn texts<'a>(tokens: &[Token<'a>]) -> impl DoubleEndedIterator<Item = &'a str> {
    tokens.iter().map(|token| token.text)
}

/// The names that follow the root: one, or those of a group.
fn first_names<'a>(tokens: &[Token<'a>], paths: &mut Vec<RootPath<'a>>) {
    let mut add = |token: &Token<'a>| {
        paths.push(RootPath {
            first: token.text,
            line: token.line,
        });
    };
    match tokens {
        // `crate as x` may name anything.
        [token, ..] if token.text == "as" => add(token),
        [a, b, open, group @ ..] if a.text == ":" && b.text == ":" && open.text == "{" => {
            let (mut depth, mut fresh) = (1, true);
            for token in group {
                match token.text {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    "," => fresh = depth == 1,
                    _ if fresh => {
                        add(token);
                        fresh = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        }
        [a, b, name, ..] if a.text == ":" && b.text == ":" => add(name),
        // `pub(crate)`.
        _ => {}
    }
}
