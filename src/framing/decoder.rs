//! The decoder, which finds the end of the first frame in the received bytes.

use std::io::BufRead;

use super::{FrameError, Framing};

/// The number of bytes first searched for all separators. It doubles with each search, so that a
/// separator that does not occur costs no more than the length of the frame.
const FIRST_SEARCH_BYTES: usize = 512;

/// The result of a decoding step.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// The frame is complete. It is the first `size` bytes, without the first `prefix` of them.
    Frame { size: usize, prefix: usize },
    /// The frame is incomplete, and has at most this many bytes in all.
    NeedMore { max_bytes: usize },
}

/// Finds the end of one frame, while more bytes arrive.
#[derive(Debug)]
pub(crate) struct FrameDecoder<'a> {
    framing: Framing<'a>,
    limit: usize,
    /// No separator begins in the first `searched` bytes.
    searched: usize,
}

impl<'a> FrameDecoder<'a> {
    /// Makes a decoder. Panics if there is no separator, or an empty one.
    pub(crate) fn new(framing: Framing<'a>, limit: usize) -> Self {
        if let Framing::Until(separators) = framing {
            assert!(!separators.is_empty(), "no separator is given");
            let empty = separators.iter().any(|separator| separator.is_empty());
            assert!(!empty, "an empty separator matches everywhere");
        }
        Self {
            framing,
            limit,
            searched: 0,
        }
    }

    /// Decodes the received bytes. They must begin with those of the previous call.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, FrameError> {
        let (prefix, body) = match self.framing {
            Framing::Until(separators) => return self.until(separators, bytes),
            Framing::Exactly(body) => (0, Some(body)),
            Framing::Length(length) => (length.width(), length.read(bytes)),
        };
        let Some(body) = body else {
            return Ok(Decoded::NeedMore { max_bytes: prefix });
        };
        if body > self.limit {
            return Err(self.too_long(prefix, Some(body)));
        }
        let size = prefix + body;
        Ok(if bytes.len() < size {
            Decoded::NeedMore { max_bytes: size }
        } else {
            Decoded::Frame { size, prefix }
        })
    }

    /// Returns the size of the complete frame, if it is known from `partial`, after the input has
    /// ended.
    pub(crate) fn expected(&self, partial: &[u8]) -> Option<usize> {
        match self.framing {
            Framing::Until(_) => None,
            Framing::Exactly(size) => Some(size),
            Framing::Length(length) => length.read(partial).map(|body| length.width() + body),
        }
    }

    /// Finds the separator that ends first, or the shortest of several. The limit applies to the
    /// bytes before it.
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
            max_bytes: self.limit.saturating_add(beyond + 1),
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

/// Returns the position of the needle, at `from` or later.
fn find(needle: &[u8], bytes: &[u8], mut from: usize) -> Option<usize> {
    let (&first, rest) = needle.split_first()?;
    loop {
        let mut left = bytes.get(from..)?;
        // `skip_until` uses the fast byte search of the standard library.
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
