//! Where the first frame ends in what has come.

use std::io::BufRead;

use super::{FrameError, Framing};

/// Searched at first for all separators, in bytes; then twice as many, so that one which does not
/// occur costs no more than the frame is long.
const FIRST_SEARCH_BYTES: usize = 512;

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// The frame has come: it is the first `size` bytes, without `prefix` at the beginning.
    Frame { size: usize, prefix: usize },
    /// It has not, and has at most so many bytes in all.
    NeedMore { most: usize },
}

/// Looks for the end of one frame, while more and more comes.
#[derive(Debug)]
pub(crate) struct FrameDecoder<'a> {
    framing: Framing<'a>,
    limit: usize,
    /// At so many bytes in the beginning no separator begins.
    searched: usize,
}

impl<'a> FrameDecoder<'a> {
    /// Panics when there is no separator, or an empty one.
    pub(crate) fn new(framing: Framing<'a>, limit: usize) -> Self {
        if let Framing::Until(separators) = framing {
            assert!(!separators.is_empty(), "no separator ends no frame");
            let empty = separators.iter().any(|separator| separator.is_empty());
            assert!(!empty, "an empty separator is everywhere");
        }
        Self {
            framing,
            limit,
            searched: 0,
        }
    }

    /// `bytes` is what has come, of which the beginning is as it was before.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, FrameError> {
        let (prefix, body) = match self.framing {
            Framing::Until(separators) => return self.until(separators, bytes),
            Framing::Exactly(body) => (0, Some(body)),
            Framing::Length(length) => (length.width(), length.read(bytes)),
        };
        let Some(body) = body else {
            return Ok(Decoded::NeedMore { most: prefix });
        };
        if body > self.limit {
            return Err(self.too_long(prefix, Some(body)));
        }
        let size = prefix + body;
        Ok(if bytes.len() < size {
            Decoded::NeedMore { most: size }
        } else {
            Decoded::Frame { size, prefix }
        })
    }

    /// The input has ended: how large the frame would have been, where `partial` of it has come.
    pub(crate) fn expected(&self, partial: &[u8]) -> Option<usize> {
        match self.framing {
            Framing::Until(_) => None,
            Framing::Exactly(size) => Some(size),
            Framing::Length(length) => length.read(partial).map(|body| length.width() + body),
        }
    }

    /// The match that ends first, and of several the shortest. The limit is on what is before it.
    fn until(&mut self, separators: &[&[u8]], bytes: &[u8]) -> Result<Decoded, FrameError> {
        let longest = separators.iter().map(|separator| separator.len()).max();
        let beyond = longest.unwrap_or(1) - 1;
        let mut stretch = FIRST_SEARCH_BYTES;
        loop {
            let end = bytes.len().min(self.searched + stretch + beyond);
            let searched = &bytes[..end];
            let found = separators.iter().filter_map(|separator| {
                let start = find(separator, searched, self.searched)?;
                Some((start + separator.len(), separator.len()))
            });
            if let Some((size, separator)) = found.min() {
                if size - separator > self.limit {
                    return Err(self.too_long(size - separator, None));
                }
                return Ok(Decoded::Frame { size, prefix: 0 });
            }
            self.searched = self.searched.max(end.saturating_sub(beyond));
            if end == bytes.len() {
                break;
            }
            stretch *= 2;
        }
        if self.searched > self.limit {
            return Err(self.too_long(self.searched, None));
        }
        Ok(Decoded::NeedMore {
            most: self.limit.saturating_add(beyond + 1),
        })
    }

    fn too_long(&self, consumed: usize, expected: Option<usize>) -> FrameError {
        FrameError::TooLong {
            consumed,
            expected,
            limit: self.limit,
        }
    }
}

/// Where the needle begins, at `from` or later.
fn find(needle: &[u8], bytes: &[u8], mut from: usize) -> Option<usize> {
    let (&first, rest) = needle.split_first()?;
    loop {
        let mut left = bytes.get(from..)?;
        // The standard library's quick search for a byte.
        let passed = left.skip_until(first).ok()?;
        from += passed;
        if passed == 0 || bytes[from - 1] != first {
            return None;
        }
        if left.starts_with(rest) {
            return Some(from - 1);
        }
    }
}
