//! Compares the framing with a plainly written oracle, for bytes in any pieces, and calls that are
//! cancelled and made again. Any bytes make a case, so that a fuzzer can.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_lite::{AsyncBufReadExt, AsyncReadExt, Future};
use halves::Connection;

use super::Pieces;
use super::frames::{ALPHABET, Ask, Got};

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

impl Case {
    /// Makes a case of any bytes.
    pub(crate) fn decode(data: &[u8]) -> Self {
        let mut data = data.iter().copied();
        let mut next = || data.next().unwrap_or(0);
        let limit = usize::from(next() % 24);
        let cancels = next();
        let asks = (0..=next() % 5).map(|_| {
            let (kind, operand) = (next(), usize::from(next()));
            Ask::of(kind, operand)
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
            ask.check(&got, rest, self.limit, self);
            at += ask.taken(&got);
            if let Got::TooLong(consumed, _) = got {
                reader.consume(consumed);
                at += consumed;
            }
            let counted = usize::try_from(reader.peer().bytes_in()).expect("few");
            assert!((at..=bytes.len()).contains(&counted), "{counted} counted");
        }
        let mut rest = Vec::new();
        futures_lite::future::block_on(reader.read_to_end(&mut rest)).expect("no errors");
        assert_eq!(rest, bytes[at..], "bytes beyond the request are left");
        assert_eq!(reader.peer().bytes_in(), bytes.len() as u64);
        assert!(reader.at_eof());
    }
}

type Reader = halves::Reader<Pieces>;

/// Polls until there is a result, and drops some of the calls that have to wait.
fn again_and_again(cancels: u8, turn: &mut u32, reader: &mut Reader, ask: Ask) -> Got {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        let mut call = pin!(ask.answer(reader));
        loop {
            if let Poll::Ready(got) = call.as_mut().poll(&mut cx) {
                return got.expect("no errors");
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

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
