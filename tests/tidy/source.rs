//! A source file: its text, its code without comments and strings, its tokens and its functions.

use std::fs;
use std::path::Path;

/// A file, by its path within the crate (`src/server/mod.rs`).
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments, strings and characters blanked out. Lines keep their numbers.
    pub(crate) code: String,
}

/// A word or a single other character, and its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank(text),
        }
    }

    /// All `.rs` files in a folder of the crate and below.
    pub(crate) fn all(folder: &str) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        collect(root, &root.join(folder), &mut found);
        found
    }

    /// The path of modules from the root: `["server", "state"]` for src/server/state.rs.
    pub(crate) fn modules(&self) -> Vec<&str> {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let names = path.trim_end_matches(".rs").split('/');
        names
            .filter(|name| !["mod", "lib", "main"].contains(name))
            .collect()
    }

    /// The top-level module; `lib` and `main` for those two files.
    pub(crate) fn module(&self) -> &str {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        path.split('/')
            .next()
            .unwrap_or(path)
            .trim_end_matches(".rs")
    }

    /// True if the file is compiled only for tests.
    pub(crate) fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.any(|part| part == "tests" || part == "tests.rs")
    }

    pub(crate) fn tokens(&self) -> Vec<Token<'_>> {
        let mut tokens = Vec::new();
        for (n, mut rest) in self.code.lines().enumerate() {
            while let Some(first) = rest.chars().next() {
                let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
                let (text, after) = rest.split_at(word.max(first.len_utf8()));
                if !first.is_whitespace() {
                    tokens.push(Token { text, line: n + 1 });
                }
                rest = after;
            }
        }
        tokens
    }

    /// All functions with a body, from `fn` to the closing brace.
    pub(crate) fn functions(&self) -> Vec<Function<'_>> {
        let tokens = self.tokens();
        let mut functions = Vec::new();
        for (at, pair) in tokens.windows(2).enumerate() {
            let [word, name] = pair else { continue };
            // The type `fn(…)` has no name.
            if word.text != "fn" || !name.text.starts_with(is_word) {
                continue;
            }
            if let Some(end) = end_of_body(&tokens[at..]) {
                functions.push(Function {
                    name: name.text,
                    line: word.line,
                    lines: end - word.line + 1,
                });
            }
        }
        functions
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The line of the brace that closes the first block. None if a `;` precedes any block.
fn end_of_body(tokens: &[Token<'_>]) -> Option<usize> {
    let (mut round, mut curly) = (0, 0);
    for token in tokens {
        match token.text {
            "(" | "[" => round += 1,
            ")" | "]" => round -= 1,
            "{" => curly += 1,
            "}" if curly == 1 => return Some(token.line),
            "}" => curly -= 1,
            ";" if round == 0 && curly == 0 => return None,
            _ => {}
        }
    }
    None
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a text");
            let path = path.strip_prefix(root).expect("it is below the root");
            found.push(Source::new(&path.to_string_lossy(), &text));
        }
    }
}

/// Replaces everything but code by spaces.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        // The `b` in `grab"` is no prefix.
        let in_word = code.ends_with(is_word);
        let length = if let Some(length) = comment(rest).or_else(|| literal(rest, in_word)) {
            let blanks = rest[..length].chars();
            code.extend(blanks.map(|c| if c == '\n' { '\n' } else { ' ' }));
            length
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    code
}

/// The length of a comment at the beginning of the text.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let (step, change) = match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        (depth, at) = (depth + change, at + step);
        if depth == 0 {
            break;
        }
    }
    Some(at)
}

/// The length of a string or character at the beginning of the text.
fn literal(text: &str, in_word: bool) -> Option<usize> {
    let prefix = if in_word {
        0
    } else {
        ["br", "cr", "b", "c", "r"]
            .iter()
            .find(|prefix| {
                let after = text.strip_prefix(**prefix);
                after.is_some_and(|after| after.starts_with(['"', '\'', '#']))
            })
            .map_or(0, |prefix| prefix.len())
    };
    let body = &text[prefix..];
    if text[..prefix].ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        // `r#type` is a word.
        body[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = body[hashes + 1..].find(&end)? + end.len();
        return Some(prefix + hashes + 1 + length);
    }
    match body.chars().next()? {
        '"' => Some(prefix + quoted(body, b'"')?),
        '\'' if is_character(body) => Some(prefix + quoted(body, b'\'')?),
        _ => None,
    }
}

/// True for `'a'`, false for the lifetime `'a`.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    matches!(
        (chars.next(), chars.next()),
        (Some('\\'), _) | (Some(_), Some('\''))
    )
}

/// The length of a text between two such quotes, with the quotes.
fn quoted(text: &str, quote: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while *bytes.get(at)? != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    Some(at + 1)
}
