//! Frames of a stream: their framing, the decoder and the errors. This module does no I/O.

mod decoder;
mod error;

use std::io;

pub(crate) use decoder::{Decoded, FrameDecoder};
pub use error::FrameError;

/// The default maximum size of a frame.
pub(crate) const DEFAULT_FRAME_LIMIT_BYTES: usize = 64 * 1024;

/// The rule by which a frame ends, for [`Reader::frames`](crate::Reader::frames).
///
/// # Examples
///
/// ```
/// use halves::framing::{Framing, Length};
///
/// let messages = Framing::Until(&[b"\0"]);
/// let packets = Framing::from(Length::U16Be);
/// assert_ne!(messages, packets);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing<'a> {
    /// The frame ends with one of these separators, which is part of the frame, as in
    /// [`Reader::until`](crate::Reader::until).
    Until(&'a [&'a [u8]]),
    /// The frame has this many bytes.
    Exactly(usize),
    /// The size of the frame is a number in front of it, which is not part of the frame.
    Length(Length),
}

impl Framing<'_> {
    /// Lines. Each ends with `\n`, which is part of it.
    pub const LINES: Self = Self::Until(&[b"\n"]);
}

impl From<Length> for Framing<'_> {
    fn from(length: Length) -> Self {
        Self::Length(length)
    }
}

/// The format of the length in front of a frame. The length counts the bytes after itself.
///
/// # Examples
///
/// ```
/// use halves::Connection;
/// use halves::framing::Length;
///
/// # smol::block_on(async {
/// let mut c = Connection::new(&b"\x05\x00hello"[..], futures_lite::io::sink());
/// assert_eq!(c.reader.frame(Length::U16Le).await?.unwrap(), b"hello");
/// # Ok::<(), halves::framing::FrameError>(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Length {
    /// One byte.
    U8,
    /// Two bytes, the most significant first, as in DNS over TCP.
    U16Be,
    /// Two bytes, the least significant first.
    U16Le,
    /// Four bytes, the most significant first.
    U32Be,
    /// Four bytes, the least significant first.
    U32Le,
}

impl Length {
    /// The size of the length field, in bytes.
    fn width(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16Be | Self::U16Le => 2,
            Self::U32Be | Self::U32Le => 4,
        }
    }

    /// Encodes the length of a frame of `size` bytes. Fails if the size does not fit.
    pub(crate) fn prefix(self, size: usize, room: &mut [u8; 4]) -> io::Result<&[u8]> {
        let width = self.width();
        let unused = 8 * (4 - width);
        let number = u32::try_from(size).ok();
        let Some(number) = number.filter(|&number| number <= u32::MAX >> unused) else {
            let long = format!("a frame of {size} bytes is too long for a length of {width} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, long));
        };
        *room = match self {
            Self::U8 | Self::U16Le | Self::U32Le => number.to_le_bytes(),
            Self::U16Be | Self::U32Be => (number << unused).to_be_bytes(),
        };
        Ok(&room[..width])
    }

    /// Decodes the length at the beginning of `bytes`, or returns `None` if it is incomplete.
    fn read(self, bytes: &[u8]) -> Option<usize> {
        let number = match self {
            Self::U8 => u32::from(*bytes.first()?),
            Self::U16Be => u16::from_be_bytes(*bytes.first_chunk()?).into(),
            Self::U16Le => u16::from_le_bytes(*bytes.first_chunk()?).into(),
            Self::U32Be => u32::from_be_bytes(*bytes.first_chunk()?),
            Self::U32Le => u32::from_le_bytes(*bytes.first_chunk()?),
        };
        // A length that does not fit exceeds any limit.
        Some(usize::try_from(number).unwrap_or(usize::MAX))
    }
}
