//! Why there is no frame.

use std::{fmt, io};

/// Why a frame could not be had.
///
/// In a function that returns [`io::Result`], `?` makes it an [`io::Error`] of the kind that is
/// said below; the frame error is then inside.
///
/// # Examples
///
/// ```
/// use halves::Connection;
/// use halves::framing::FrameError;
/// use std::io::{Error, ErrorKind};
///
/// # smol::block_on(async {
/// let mut connection = Connection::new(&b"one\ntw"[..], futures_lite::io::sink());
/// assert_eq!(connection.reader.line().await?.unwrap(), b"one\n");
/// let error = connection.reader.line().await.unwrap_err();
/// assert!(matches!(&error, FrameError::Incomplete { partial, .. } if partial == b"tw"));
/// assert_eq!(Error::from(error).kind(), ErrorKind::UnexpectedEof);
/// # Ok::<(), FrameError>(()) }).unwrap();
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum FrameError {
    /// The input has ended in the middle of a frame.
    /// ([`UnexpectedEof`](io::ErrorKind::UnexpectedEof).)
    Incomplete {
        /// What there was of it, with the length in front; nothing of it is left in the reader.
        partial: Vec<u8>,
        /// How many bytes it would have had, where that is known.
        expected: Option<usize>,
    },
    /// The frame is longer than the limit, which
    /// [`Reader::set_frame_limit`](crate::Reader::set_frame_limit) sets. Everything is left in the
    /// reader. ([`InvalidData`](io::ErrorKind::InvalidData).)
    TooLong {
        /// So many bytes have come, and can be passed over with
        /// [`consume`](futures_lite::AsyncBufReadExt::consume): no frame ends in them, or they are the
        /// length in front of the frame.
        consumed: usize,
        /// How many bytes follow these, where that is known.
        expected: Option<usize>,
        /// What the limit is, in bytes.
        limit: usize,
    },
    /// The stream itself has failed. (As it is.)
    Io(io::Error),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { partial, expected } => {
                let came = partial.len();
                write!(f, "the input ended in a frame, after {came} bytes")?;
                expected.map_or(Ok(()), |expected| write!(f, " of {expected}"))
            }
            Self::TooLong {
                expected: Some(bytes),
                limit,
                ..
            } => write!(f, "a frame of {bytes} bytes: the limit is {limit}"),
            Self::TooLong {
                consumed, limit, ..
            } => write!(
                f,
                "no end of the frame in {consumed} bytes: the limit is {limit}"
            ),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            Self::Incomplete { .. } | Self::TooLong { .. } => None,
        }
    }
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<FrameError> for io::Error {
    fn from(error: FrameError) -> Self {
        let kind = match error {
            FrameError::Io(error) => return error,
            FrameError::Incomplete { .. } => io::ErrorKind::UnexpectedEof,
            FrameError::TooLong { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
