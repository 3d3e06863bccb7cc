//! The error of reading a frame.

use std::{fmt, io};

/// The error of reading a frame.
///
/// In a function that returns [`io::Result`], `?` converts it to an [`io::Error`] of the kind given
/// for each variant, with the `FrameError` as its inner error.
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
    /// (Kind: [`UnexpectedEof`](io::ErrorKind::UnexpectedEof).)
    Incomplete {
        /// The received part of the frame, with the length in front. It is removed from the reader.
        partial: Vec<u8>,
        /// The size of the complete frame in bytes, with the length in front, if that is known.
        expected: Option<usize>,
    },
    /// The frame is longer than the limit that
    /// [`Reader::set_frame_limit`](crate::Reader::set_frame_limit) sets. All received bytes stay in
    /// the reader. (Kind: [`InvalidData`](io::ErrorKind::InvalidData).)
    TooLong {
        /// The number of received bytes that can be skipped with
        /// [`consume`](futures_lite::AsyncBufReadExt::consume). No frame ends in them, or they are
        /// the length in front of the frame.
        consumed: usize,
        /// The number of bytes of the frame that follow these, if that is known.
        expected: Option<usize>,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The stream has failed. (Converts to the inner error.)
    Io(io::Error),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { partial, expected } => {
                let received = partial.len();
                write!(f, "the input ended in a frame, after {received} bytes")?;
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
