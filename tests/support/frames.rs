//! Calls that read frames, and a plainly written oracle of their results.

use std::fmt::Debug;
use std::io;

use futures_lite::{AsyncBufReadExt, AsyncRead, AsyncReadExt};
use halves::Reader;
use halves::framing::{FrameError, Length};

/// Frequent bytes of a stream: letters, separators and small lengths.
pub(crate) const ALPHABET: &[u8] = b"ab\r\n\0\x01\x02\x03";
const SEPARATORS: &[&[&[u8]]] = &[
    &[b"\n"],
    &[b"\r\n", b"\n"],
    &[b"\n", b"\r\n"],
    &[b"aab"],
    &[b"ab", b"b", b"\0"],
    &[b"aba\r\n", b"\r"],
];
const LENGTHS: &[(Length, usize)] = &[
    (Length::U8, 1),
    (Length::U16Be, 2),
    (Length::U16Le, 2),
    (Length::U32Be, 4),
    (Length::U32Le, 4),
];

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    Line,
    Until(&'static [&'static [u8]]),
    Exactly(usize),
    Frame(Length, usize),
    Read(usize),
    Look,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Bytes(Vec<u8>),
    Nothing,
    Incomplete(Vec<u8>, Option<usize>),
    TooLong(usize, Option<usize>),
}

impl Ask {
    /// Makes a call of two random numbers.
    pub(crate) fn of(kind: u8, operand: usize) -> Self {
        match kind % 8 {
            0 => Self::Line,
            1 | 2 => Self::Until(SEPARATORS[operand % SEPARATORS.len()]),
            3 => Self::Exactly(operand % 26),
            4 | 5 => {
                let (length, width) = LENGTHS[operand % LENGTHS.len()];
                Self::Frame(length, width)
            }
            6 => Self::Read(1 + operand % 9),
            _ => Self::Look,
        }
    }

    /// Makes the call.
    pub(crate) async fn answer<R>(self, reader: &mut Reader<R>) -> io::Result<Got>
    where
        R: AsyncRead + Unpin,
    {
        let got = match self {
            Self::Line => reader.line().await,
            Self::Until(separators) => reader.until(separators).await,
            Self::Exactly(size) => reader.exactly(size).await.map(Some),
            Self::Frame(length, _) => reader.frame(length).await,
            Self::Read(size) => {
                let mut buf = vec![0; size];
                let read = reader.read(&mut buf).await?;
                buf.truncate(read);
                Ok((read > 0).then_some(buf))
            }
            Self::Look => {
                let seen = reader.fill_buf().await?;
                Ok((!seen.is_empty()).then(|| seen.to_vec()))
            }
        };
        Ok(match got {
            Ok(Some(bytes)) => Got::Bytes(bytes),
            Ok(None) => Got::Nothing,
            Err(FrameError::Incomplete { partial, expected }) => Got::Incomplete(partial, expected),
            Err(FrameError::TooLong {
                consumed, expected, ..
            }) => Got::TooLong(consumed, expected),
            Err(error) => return Err(error.into()),
        })
    }

    /// Checks the result of the call when `rest` is all of the input that is left. Panics with the
    /// case if it is wrong.
    pub(crate) fn check(self, got: &Got, rest: &[u8], limit: usize, case: &impl Debug) {
        let expected = match self {
            Self::Line => until(rest, &[b"\n"], limit),
            Self::Until(separators) => until(rest, separators, limit),
            Self::Exactly(size) if size > limit => Got::TooLong(0, Some(size)),
            Self::Exactly(size) if size <= rest.len() => Got::Bytes(rest[..size].to_vec()),
            Self::Exactly(size) => Got::Incomplete(rest.to_vec(), Some(size)),
            Self::Frame(length, width) => frame(rest, length, width, limit),
            Self::Read(_) | Self::Look => match got {
                Got::Bytes(bytes) if !bytes.is_empty() && rest.starts_with(bytes) => return,
                _ => Got::Nothing,
            },
        };
        match (&expected, got) {
            // Their number depends on the pieces.
            (Got::TooLong(most, None), Got::TooLong(consumed, None)) => {
                assert!(
                    (limit + 1..=*most).contains(consumed),
                    "{consumed}: {case:?}"
                );
            }
            _ => assert_eq!(*got, expected, "{self:?} of {rest:?}, {case:?}"),
        }
        let empty = matches!(expected, Got::Nothing) && !matches!(self, Self::Exactly(_));
        assert!(
            !empty || rest.is_empty(),
            "nothing, before the end: {case:?}"
        );
    }

    /// Returns the number of bytes that the call has taken off the input. Those of a frame that is
    /// too long are left to the caller.
    pub(crate) fn taken(self, got: &Got) -> usize {
        match (self, got) {
            (Self::Look, _) | (_, Got::Nothing | Got::TooLong(..)) => 0,
            (Self::Frame(_, width), Got::Bytes(bytes)) => width + bytes.len(),
            (_, Got::Bytes(bytes) | Got::Incomplete(bytes, _)) => bytes.len(),
        }
    }
}

/// The shortest beginning that ends with a separator.
fn until(rest: &[u8], separators: &[&[u8]], limit: usize) -> Got {
    for end in 1..=rest.len() {
        let ends = separators.iter().filter(|with| rest[..end].ends_with(with));
        if let Some(separator) = ends.map(|separator| separator.len()).min() {
            return match end - separator {
                before if before > limit => Got::TooLong(before, None),
                _ => Got::Bytes(rest[..end].to_vec()),
            };
        }
    }
    let longest = separators.iter().map(|separator| separator.len()).max();
    let searched = (rest.len() + 1).saturating_sub(longest.expect("there is one"));
    match rest {
        [] => Got::Nothing,
        _ if searched > limit => Got::TooLong(searched, None),
        _ => Got::Incomplete(rest.to_vec(), None),
    }
}

fn frame(rest: &[u8], length: Length, width: usize, limit: usize) -> Got {
    if rest.is_empty() {
        return Got::Nothing;
    }
    if rest.len() < width {
        return Got::Incomplete(rest.to_vec(), None);
    }
    let mut number = rest[..width].to_vec();
    if matches!(length, Length::U16Le | Length::U32Le) {
        number.reverse();
    }
    let size = number
        .iter()
        .fold(0, |size, byte| size * 256 + usize::from(*byte));
    if size > limit {
        return Got::TooLong(width, Some(size));
    }
    if rest.len() < width + size {
        return Got::Incomplete(rest.to_vec(), Some(width + size));
    }
    Got::Bytes(rest[width..width + size].to_vec())
}
