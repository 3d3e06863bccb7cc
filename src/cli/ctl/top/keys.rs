//! The keys of `top`.

use std::collections::VecDeque;
use std::io;

use halves::connection::{AnyRead, Reader};

use crate::cli::ctl::Sort;

/// A key with an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Sort(Sort),
    Up,
    Down,
    PageUp,
    PageDown,
    Quit,
}

/// Reads keys from a terminal in raw mode.
#[derive(Default)]
pub(super) struct Keys(VecDeque<Key>);

impl Keys {
    /// Returns the next key, or None if the terminal has closed. Cancel-safe.
    pub(super) async fn next(&mut self, input: &mut Reader<AnyRead>) -> io::Result<Option<Key>> {
        loop {
            if let Some(key) = self.0.pop_front() {
                return Ok(Some(key));
            }
            let bytes = input.read_chunk().await?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.0.extend(parse(&bytes));
        }
    }
}

/// Returns the keys in one read of a terminal. A key such as an arrow is one sequence.
fn parse(mut bytes: &[u8]) -> Vec<Key> {
    const SEQUENCES: [(&[u8], Key); 6] = [
        (b"\x1b[A", Key::Up),
        (b"\x1bOA", Key::Up),
        (b"\x1b[B", Key::Down),
        (b"\x1bOB", Key::Down),
        (b"\x1b[5~", Key::PageUp),
        (b"\x1b[6~", Key::PageDown),
    ];
    let mut keys = Vec::new();
    while let Some((&first, rest)) = bytes.split_first() {
        let sequence = SEQUENCES.iter().find(|(text, _)| bytes.starts_with(text));
        if let Some((text, key)) = sequence {
            keys.push(*key);
            bytes = &bytes[text.len()..];
            continue;
        }
        keys.extend(match first {
            // In raw mode Ctrl-C and Ctrl-D are bytes.
            b'q' | 0x03 | 0x04 => Some(Key::Quit),
            b'k' => Some(Key::Up),
            b'j' => Some(Key::Down),
            b' ' => Some(Key::PageDown),
            key => Sort::of_key(key).map(Key::Sort),
        });
        bytes = if first == 0x1b {
            after_escape(rest)
        } else {
            rest
        };
    }
    keys
}

/// Returns the bytes after another sequence: its last byte is a letter or a tilde.
fn after_escape(rest: &[u8]) -> &[u8] {
    let end = rest
        .iter()
        .position(|byte| byte.is_ascii_alphabetic() || *byte == b'~');
    end.map_or(&[], |end| &rest[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_keys() {
        for (bytes, keys) in [
            (&b"q"[..], &[Key::Quit][..]),
            (b"\x03", &[Key::Quit]),
            (b"bi", &[Key::Sort(Sort::Bytes), Key::Sort(Sort::Idle)]),
            (
                b"\x1b[A\x1b[B\x1bOAk",
                &[Key::Up, Key::Down, Key::Up, Key::Up],
            ),
            (
                b"\x1b[5~\x1b[6~ ",
                &[Key::PageUp, Key::PageDown, Key::PageDown],
            ),
            // Another key, and a lone escape.
            (b"\x1b[15~j", &[Key::Down]),
            (b"\x1b", &[]),
            (b"xyz", &[]),
        ] {
            assert_eq!(parse(bytes), keys, "{bytes:?}");
        }
    }
}
