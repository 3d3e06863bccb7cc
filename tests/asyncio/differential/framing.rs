//! Random bytes in random pieces are read by `line`, `until` and `exactly`, and by `readline`,
//! `readuntil` and `readexactly` in `asyncio_framing.py`. The results must be the same: frames,
//! incomplete frames, and the number of bytes of long frames that can be passed over.
//!
//! Where Halves differs on purpose, the test does what asyncio does by itself: it passes over a line
//! that is too long, and takes a last one without its end. No case asks for exactly more bytes than
//! the limit, which asyncio does not apply to that.
//!
//! `HALVES_SEED=5 cargo test --test asyncio framing` repeats a failure.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout};

use fastrand::Rng;
use futures_lite::AsyncBufReadExt;
use futures_lite::future::block_on;
use futures_lite::io::sink;
use halves::framing::FrameError;
use halves::{Connection, Reader};

use crate::differential::python::python;
use crate::support::pieces::Pieces;
use crate::support::seed::seed;
use crate::support::skip::skip;

const CASES: u64 = 1000;
/// Frequent bytes, so that separators and their beginnings occur.
const ALPHABET: &[u8] = b"aab\n";

#[test]
fn frames_with_one_separator_are_as_asyncios() {
    compare("frames_with_one_separator_are_as_asyncios", 1);
}

#[test]
fn frames_with_several_separators_are_as_asyncios() {
    compare("frames_with_several_separators_are_as_asyncios", 3);
}

fn compare(test: &str, separators: usize) {
    let Some(mut theirs) = Asyncio::start() else {
        skip(test, "there is no python3");
        return;
    };
    if separators > 1 && !theirs.knows_several {
        skip(test, "python3 is older than 3.13");
        return;
    }
    let seed = seed();
    let mut seen = [0; 3];
    for n in 0..CASES {
        let mut rng = Rng::with_seed(seed.wrapping_add(n));
        let case = Case::random(&mut rng, separators);
        let (ours, theirs) = (case.play(), theirs.play(&case.line()));
        let what = || format!("case {n} of HALVES_SEED={seed}: {}", case.line());
        assert!(
            ours == theirs,
            "{}\nours:   {ours}\ntheirs: {theirs}",
            what()
        );
        for outcome in ours.split(',') {
            let kind = "fio".find(&outcome[..1]);
            seen[kind.expect("one of three")] += 1;
        }
    }
    // Otherwise nothing was compared.
    assert!(seen.iter().all(|&n| n > CASES / 10), "{seen:?}");
}

/// A stream, and the calls on it.
struct Case {
    limit: usize,
    pieces: Vec<Vec<u8>>,
    calls: Vec<Call>,
}

enum Call {
    Line,
    Until(Vec<Vec<u8>>),
    Exactly(usize),
}

impl Case {
    fn random(rng: &mut Rng, separators: usize) -> Self {
        let limit = rng.usize(1..12);
        let bytes = |rng: &mut Rng, most| -> Vec<u8> {
            let size = rng.usize(1..=most);
            let letters = (0..size).map(|_| *rng.choice(ALPHABET).expect("some"));
            letters.collect()
        };
        let pieces = (0..rng.usize(0..12)).map(|_| bytes(rng, 9)).collect();
        let call = |rng: &mut Rng| match rng.u8(0..4) {
            0 => Call::Line,
            1 => Call::Exactly(rng.usize(0..=limit)),
            _ => Call::Until(
                (0..rng.usize(1..=separators))
                    .map(|_| bytes(rng, 3))
                    .collect(),
            ),
        };
        let calls = (0..rng.usize(1..12)).map(|_| call(rng)).collect();
        Self {
            limit,
            pieces,
            calls,
        }
    }

    /// As the script reads it.
    fn line(&self) -> String {
        let pieces: Vec<_> = self.pieces.iter().map(|piece| hex(piece)).collect();
        let calls: Vec<_> = self.calls.iter().map(Call::text).collect();
        format!("{} {} {}", self.limit, pieces.join(","), calls.join(","))
    }

    fn play(&self) -> String {
        let pieces = self.pieces.iter();
        // Each piece arrives while a call waits for it.
        let pieces = pieces.flat_map(|piece| [vec![], piece.clone()]).collect();
        let mut reader = Connection::new(Pieces(pieces), sink()).reader;
        reader.set_frame_limit(self.limit);
        let mut outcomes = Vec::new();
        for call in &self.calls {
            outcomes.push(block_on(call.play(&mut reader)));
        }
        outcomes.join(",")
    }
}

impl Call {
    fn text(&self) -> String {
        match self {
            Self::Line => "l".into(),
            Self::Until(ends) => ends
                .iter()
                .fold("u".into(), |text, end| text + ":" + &hex(end)),
            Self::Exactly(size) => format!("e:{size}"),
        }
    }

    async fn play(&self, reader: &mut Reader<Pieces>) -> String {
        let got = match self {
            Self::Line => return line(reader).await,
            Self::Until(ends) => {
                let ends: Vec<_> = ends.iter().map(Vec::as_slice).collect();
                reader.until(&ends).await
            }
            Self::Exactly(size) => reader.exactly(*size).await.map(Some),
        };
        match got {
            Ok(Some(frame)) => format!("f:{}", hex(&frame)),
            Ok(None) => "i::None".into(),
            Err(FrameError::Incomplete { partial, expected }) => {
                let expected = expected.map_or("None".into(), |bytes| bytes.to_string());
                format!("i:{}:{expected}", hex(&partial))
            }
            Err(FrameError::TooLong { consumed, .. }) => {
                reader.consume(consumed);
                format!("o:{consumed}")
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// asyncio's `readline`, built on `Reader::line`.
async fn line(reader: &mut Reader<Pieces>) -> String {
    match reader.line().await {
        Ok(line) => format!("f:{}", hex(&line.unwrap_or_default())),
        Err(FrameError::Incomplete { partial, .. }) => format!("f:{}", hex(&partial)),
        Err(FrameError::TooLong { consumed, .. }) => {
            let come = reader.fill_buf().await.expect("it is there");
            let whole = come.get(consumed) == Some(&b'\n');
            let passed = if whole { consumed + 1 } else { come.len() };
            reader.consume(passed);
            "o".into()
        }
        Err(error) => panic!("{error}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    let hex = bytes.iter().map(|byte| format!("{byte:02x}"));
    hex.collect::<Vec<_>>().concat()
}

/// The Python side, in a process that ends with this value.
struct Asyncio {
    process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    knows_several: bool,
}

impl Asyncio {
    /// None if there is no python3.
    fn start() -> Option<Self> {
        let mut process = python("asyncio_framing.py")?;
        let ask = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut asyncio = Self {
            process,
            ask,
            answers,
            knows_several: false,
        };
        asyncio.knows_several = asyncio.answer() == "several";
        Some(asyncio)
    }

    fn play(&mut self, case: &str) -> String {
        writeln!(self.ask, "{case}").expect("it listens");
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).expect("it is text");
        assert!(read > 0, "python3 has ended: its errors are above");
        line.trim_end().into()
    }
}

impl Drop for Asyncio {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
