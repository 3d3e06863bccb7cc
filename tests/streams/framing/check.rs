//! Compares the framing with a plainly written oracle, for bytes in any pieces, and calls that are
//! cancelled and made again. Any bytes make a case, so that a fuzzer can.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::Pieces;
use futures_lite::{AsyncBufReadExt, AsyncReadExt, Future};
use halves::Connection;
use halves::framing::{FrameError, Length};

/// Frequent bytes of a stream: letters, separators and small lengths.
const ALPHABET: &[u8] = b"ab\r\n\0\x01\x02\x03";
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

/// A stream, and the calls on it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) limit: usize,
    /// In turn, beginning again at their end.
    pub(crate) asks: Vec<Ask>,
    /// At an empty piece, the stream waits once.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// A bit for each wait, in turn: whether the call is dropped there and made again.
    pub(crate) cancels: u8,
}

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
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Bytes(Vec<u8>),
    Nothing,
    Incomplete(Vec<u8>, Option<usize>),
    TooLong(usize, Option<usize>),
}

impl Case {
    /// Makes a case of any bytes.
    pub(crate) fn decode(data: &[u8]) -> Self {
        let mut data = data.iter().copied();
        let mut next = || data.next().unwrap_or(0);
        let limit = usize::from(next() % 24);
        let cancels = next();
        let asks = (0..=next() % 5).map(|_| {
            let (kind, operand) = (next(), usize::from(next()));
            match kind % 8 {
                0 => Ask::Line,
                1 | 2 => Ask::Until(SEPARATORS[operand % SEPARATORS.len()]),
                3 => Ask::Exactly(operand % 26),
                4 | 5 => {
                    let (length, width) = LENGTHS[operand % LENGTHS.len()];
                    Ask::Frame(length, width)
                }
                6 => Ask::Read(1 + operand % 9),
                _ => Ask::Look,
            }
        });
        let asks = asks.collect();
        let mut pieces = Vec::new();
        while let Some(size) = data.next() {
            let bytes = data.by_ref().take(usize::from(size % 16));
            let letter = |byte: u8| ALPHABET[usize::from(byte) % ALPHABET.len()];
            let bytes = bytes.map(|byte| if byte < 240 { letter(byte) } else { byte });
            pieces.push(bytes.collect());
        }
        Self {
            limit,
            asks,
            pieces,
            cancels,
        }
    }

    /// Panics if a result is wrong.
    pub(crate) fn check(&self) {
        let bytes = self.pieces.concat();
        let source = Pieces(self.pieces.clone().into());
        let mut reader = Connection::new(source, futures_lite::io::sink()).reader;
        reader.set_frame_limit(self.limit);
        let (mut at, mut turn) = (0, 0);
        // Calls that take nothing could go on for ever.
        for ask in self.asks.iter().cycle().take(2 * bytes.len() + 10) {
            let rest = &bytes[at..];
            let got = again_and_again(self.cancels, &mut turn, &mut reader, *ask);
            self.judge(*ask, rest, &got);
            at += match &got {
                Got::Bytes(bytes) | Got::Incomplete(bytes, _) => match ask {
                    Ask::Frame(_, width) if matches!(got, Got::Bytes(_)) => width + bytes.len(),
                    Ask::Look => 0,
                    _ => bytes.len(),
                },
                Got::TooLong(consumed, _) => {
                    reader.consume(*consumed);
                    *consumed
                }
                Got::Nothing => 0,
            };
            let counted = usize::try_from(reader.peer().bytes_in()).expect("few");
            assert!((at..=bytes.len()).contains(&counted), "{counted} counted");
        }
        let mut rest = Vec::new();
        futures_lite::future::block_on(reader.read_to_end(&mut rest)).expect("no errors");
        assert_eq!(rest, bytes[at..], "bytes beyond the request are left");
        assert_eq!(reader.peer().bytes_in(), bytes.len() as u64);
        assert!(reader.at_eof());
    }

    fn judge(&self, ask: Ask, rest: &[u8], got: &Got) {
        let limit = self.limit;
        let expected = match ask {
            Ask::Line => until(rest, &[b"\n"], limit),
            Ask::Until(separators) => until(rest, separators, limit),
            Ask::Exactly(size) if size > limit => Got::TooLong(0, Some(size)),
            Ask::Exactly(size) if size <= rest.len() => Got::Bytes(rest[..size].to_vec()),
            Ask::Exactly(size) => Got::Incomplete(rest.to_vec(), Some(size)),
            Ask::Frame(length, width) => frame(rest, length, width, limit),
            Ask::Read(_) | Ask::Look => match got {
                Got::Bytes(bytes) if !bytes.is_empty() && rest.starts_with(bytes) => return,
                _ => Got::Nothing,
            },
        };
        match (&expected, got) {
            // Their number depends on the pieces.
            (Got::TooLong(most, None), Got::TooLong(consumed, None)) => {
                assert!(
                    (limit + 1..=*most).contains(consumed),
                    "{consumed}: {self:?}"
                );
            }
            _ => assert_eq!(*got, expected, "{ask:?} of {rest:?}, {self:?}"),
        }
        let empty = matches!(expected, Got::Nothing) && !matches!(ask, Ask::Exactly(_));
        assert!(
            !empty || rest.is_empty(),
            "nothing, before the end: {self:?}"
        );
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

type Reader = halves::Reader<Pieces>;

/// Polls until there is a result, and drops some of the calls that have to wait.
fn again_and_again(cancels: u8, turn: &mut u32, reader: &mut Reader, ask: Ask) -> Got {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        let mut call = pin!(answer(reader, ask));
        loop {
            if let Poll::Ready(got) = call.as_mut().poll(&mut cx) {
                return got;
            }
            assert!(
                woken.0.swap(false, Ordering::Relaxed),
                "no waker would be called"
            );
            *turn += 1;
            if cancels.rotate_right(*turn) & 1 == 1 {
                break;
            }
        }
    }
}

async fn answer(reader: &mut Reader, ask: Ask) -> Got {
    let got = match ask {
        Ask::Line => reader.line().await,
        Ask::Until(separators) => reader.until(separators).await,
        Ask::Exactly(size) => reader.exactly(size).await.map(Some),
        Ask::Frame(length, _) => reader.frame(length).await,
        Ask::Read(size) => {
            let mut buf = vec![0; size];
            let read = reader.read(&mut buf).await.expect("no errors");
            buf.truncate(read);
            Ok((read > 0).then_some(buf))
        }
        Ask::Look => {
            let seen = reader.fill_buf().await.expect("no errors");
            Ok((!seen.is_empty()).then(|| seen.to_vec()))
        }
    };
    match got {
        Ok(Some(bytes)) => Got::Bytes(bytes),
        Ok(None) => Got::Nothing,
        Err(FrameError::Incomplete { partial, expected }) => Got::Incomplete(partial, expected),
        Err(FrameError::TooLong {
            consumed, expected, ..
        }) => Got::TooLong(consumed, expected),
        Err(error) => panic!("{error}"),
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
