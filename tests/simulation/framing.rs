//! Handlers that read frames: every frame is whole and in order, a limit holds under any split, and a
//! frame that is cut by an end is an error.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use futures_lite::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, StreamExt};
use halves::framing::{Framing, Length};
use halves::testing::{Faults, Sim, Simulation};
use halves::{Connection, Listener, Reader};

use crate::exchange;
use crate::seeds::{are_many, seeds};
use crate::support::frames::{ALPHABET, Ask, Got};

/// The usual number of seeds.
const SEEDS: u64 = 400;
const CLIENT_TIMEOUT: Duration = Duration::from_hours(1);

/// The calls of a handler, and their results.
#[derive(Debug)]
struct Calls {
    limit: usize,
    asks: Vec<Ask>,
    /// The most calls.
    most: usize,
    results: RefCell<Vec<(Ask, Got)>>,
    /// The bytes behind the calls, once the input has ended.
    rest: RefCell<Option<Vec<u8>>>,
}

/// The results of all scripts.
#[derive(Debug, Default)]
struct Counts {
    frames: Cell<usize>,
    too_long: Cell<usize>,
    incomplete: Cell<usize>,
    cut: Cell<usize>,
}

impl Calls {
    fn random(sim: &Sim, bytes: usize) -> Self {
        let number = |end| usize::try_from(sim.random(0..end)).expect("it is small");
        let asks = 1 + number(5);
        let kind = |_| Ask::of(u8::try_from(number(8)).expect("it is small"), number(256));
        Self {
            limit: number(24),
            asks: (0..asks).map(kind).collect(),
            // Calls that take nothing could go on for ever.
            most: 2 * bytes + 10,
            results: RefCell::default(),
            rest: RefCell::default(),
        }
    }

    /// Makes the calls, and sends the frames back, each with its length.
    async fn serve<R, W>(&self, sim: &Sim, mut c: Connection<R, W>) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        c.reader.set_frame_limit(self.limit);
        for ask in self.asks.iter().cycle().take(self.most) {
            let got = in_tries(sim, &mut c.reader, *ask).await?;
            self.results.borrow_mut().push((*ask, got.clone()));
            match got {
                Got::TooLong(consumed, _) => c.reader.consume(consumed),
                Got::Bytes(frame) => c.writer.write_frame(Length::U16Be, &frame).await?,
                Got::Nothing if c.reader.at_eof() => break,
                _ => {}
            }
        }
        let mut rest = Vec::new();
        c.reader.read_to_end(&mut rest).await?;
        self.rest.replace(Some(rest));
        Ok(())
    }

    /// Compares the results with those of the oracle. `bytes` is the input: all of it that has
    /// arrived if the handler has seen an end.
    fn check(&self, bytes: &[u8], counts: &Counts) {
        let add = |count: &Cell<usize>| count.set(count.get() + 1);
        let mut at = 0;
        for (ask, got) in &*self.results.borrow() {
            ask.check(got, &bytes[at..], self.limit, self);
            at += ask.taken(got);
            match got {
                Got::TooLong(consumed, _) => {
                    at += consumed;
                    add(&counts.too_long);
                }
                Got::Incomplete(..) => add(&counts.incomplete),
                Got::Bytes(_) => add(&counts.frames),
                Got::Nothing => {}
            }
        }
        match &*self.rest.borrow() {
            Some(rest) => assert_eq!(rest, &bytes[at..], "{self:?}"),
            None => add(&counts.cut),
        }
    }
}

/// Makes a call. It may be dropped while it waits, and made again.
async fn in_tries<R>(sim: &Sim, reader: &mut Reader<R>, ask: Ask) -> io::Result<Got>
where
    R: AsyncRead + Unpin,
{
    while sim.random(0..3) == 0 {
        if let Some(got) = poll_once(ask.answer(reader)).await {
            return got;
        }
        let pause = Duration::from_micros(sim.random(0..50_000));
        sim.clock().sleep(pause).await;
    }
    ask.answer(reader).await
}

/// Bytes that often look like frames.
fn frequent_bytes(sim: &Sim) -> Vec<u8> {
    let mut bytes = exchange::bytes(sim, 300);
    for byte in &mut bytes {
        if *byte < 240 {
            *byte = ALPHABET[usize::from(*byte) % ALPHABET.len()];
        }
    }
    bytes
}

async fn script(sim: Sim, counts: Rc<Counts>, loses: bool) -> io::Result<()> {
    let sent = frequent_bytes(&sim);
    let calls = Rc::new(Calls::random(&sim, sent.len()));
    let handler = {
        let (sim, calls) = (sim.clone(), calls.clone());
        async move |c: Connection<_, _>| calls.serve(&sim, c).await
    };
    let server = sim.serve("frames", handler)?;
    let Ok(mut client) = sim.connect("frames").await else {
        assert!(loses, "refused");
        return Ok(());
    };
    let (mut accepted, mut answer) = (0, Vec::new());
    let write = exchange::write(&sim, &mut client.writer, &sent, &mut accepted);
    let read = exchange::read(&sim, &mut client.reader, &mut answer);
    let _ = sim.clock().timeout(CLIENT_TIMEOUT, zip(write, read)).await;
    drop(client);
    server.shutdown().drain();
    server.wait_closed().await;

    let has_ended = calls.rest.borrow().is_some();
    assert!(loses || has_ended && accepted == sent.len());
    calls.check(if has_ended { &sent[..accepted] } else { &sent }, &counts);
    check_answer(&answer, &calls.results.borrow(), !loses);
    Ok(())
}

/// Checks that the answer has the frames of the handler, and all of them if it is `whole`.
fn check_answer(answer: &[u8], results: &[(Ask, Got)], whole: bool) {
    let mut expected = Vec::new();
    for (_, got) in results {
        if let Got::Bytes(frame) = got {
            let length = u16::try_from(frame.len()).expect("it is short");
            expected.extend(length.to_be_bytes());
            expected.extend(frame);
        }
    }
    assert!(expected.starts_with(answer));
    assert!(!whole || answer == expected, "frames are missing");
}

fn run(faults: Faults, loses: bool) -> Rc<Counts> {
    let counts = Rc::<Counts>::default();
    Simulation::builder()
        .seeds(seeds(SEEDS))
        .faults(faults.offsets(0..150))
        .run(|sim| script(sim, counts.clone(), loses));
    counts
}

#[test]
fn frames_are_those_of_the_oracle_under_any_split_and_delay() {
    for faults in [Faults::default(), Faults::default().max_piece(1).buffer(7)] {
        let counts = run(faults, false);
        assert_eq!(counts.cut.get(), 0);
        let found = [&counts.frames, &counts.too_long, &counts.incomplete];
        let all = found.iter().all(|count| count.get() > 50);
        assert!(all || !are_many(), "{counts:?}");
    }
}

#[test]
fn a_frame_that_is_cut_by_a_fault_is_an_error_and_never_a_frame() {
    let counts = run(Faults::all().resets(0.3).ends(0.3), true);
    let found = [&counts.frames, &counts.incomplete, &counts.cut];
    let all = found.iter().all(|count| count.get() > 50);
    assert!(all || !are_many(), "{counts:?}");
}

/// The stream of frames is dropped and made again in the middle, and chunks follow it.
#[test]
fn a_stream_of_frames_and_the_chunks_behind_it_have_all_bytes() {
    let faults = Faults::default().max_piece(64);
    Simulation::builder().faults(faults).run(async |sim: Sim| {
        let sent = frequent_bytes(&sim);
        let whole_lines = sent.split(|&byte| byte == b'\n').count() - 1;
        let mut listener = sim.listen("lines")?;
        let (client, server) = zip(sim.connect("lines"), listener.accept()).await;
        let (mut client, mut server) = (client?, server?.expect("one has connected"));
        let mut accepted = 0;
        let write = exchange::write(&sim, &mut client.writer, &sent, &mut accepted);
        let read = async {
            let mut lines = Vec::new();
            while lines.len() < whole_lines {
                let left = whole_lines - lines.len();
                let several = usize::try_from(sim.random(1..4)).expect("it is small");
                let mut frames = server.reader.frames(Framing::LINES).take(left.min(several));
                while let Some(line) = frames.next().await {
                    lines.push(line?);
                }
            }
            let mut received = lines.concat();
            assert!(lines.iter().all(|line| line.ends_with(b"\n")));
            loop {
                let chunk = server.reader.read_chunk().await?;
                if chunk.is_empty() {
                    return io::Result::Ok(received);
                }
                received.extend_from_slice(&chunk);
            }
        };
        let (written, received) = zip(write, read).await;
        written?;
        assert_eq!(received?, sent);
        Ok(())
    });
}
