//! Fairness: a half that is always ready yields after 64 KiB or 32 operations, exactly once, and
//! wakes its task, so that a flood does not keep other clients from being served. The tests count
//! turns, not time.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_lite::io::sink;
use futures_lite::{AsyncRead, AsyncWrite};
use halves::{Connection, Executor, Listeners, Once, service};

/// The budget of a half, as documented at `Reader`.
const BYTES: usize = 64 * 1024;
const OPERATIONS: usize = 32;

#[test]
fn after_32_operations_a_half_yields_once() {
    for half in Half::ALL {
        let mut turns = Turns::new(half, 1);
        for _ in 0..3 {
            turns.assert_ready(OPERATIONS);
            turns.assert_yields();
        }
    }
}

#[test]
fn after_64_kib_a_half_yields_once() {
    for half in Half::ALL {
        // Sizes of an operation, and the number of operations that use the budget up.
        for (size, operations) in [
            (BYTES / 32, 32),
            (BYTES / 32 + 1, 32),
            (BYTES / 31 + 1, 31),
            (BYTES / 2, 2),
            (BYTES - 1, 2),
            (BYTES, 1),
            (10 * BYTES, 1),
        ] {
            let mut turns = Turns::new(half, size);
            for _ in 0..3 {
                turns.assert_ready(operations);
                turns.assert_yields();
            }
        }
    }
}

#[test]
fn a_half_that_had_to_wait_has_its_whole_budget_again() {
    for half in Half::ALL {
        for (size, operations) in [(1, OPERATIONS), (BYTES / 2, 2)] {
            let mut turns = Turns::new(half, size);
            for _ in 0..3 {
                turns.assert_ready(operations - 1);
                turns.assert_waits();
            }
            turns.assert_ready(operations);
            turns.assert_yields();
        }
    }
}

#[test]
fn the_two_halves_have_budgets_of_their_own() {
    let mut turns = Turns::new(Half::Read, 1);
    turns.assert_ready(OPERATIONS);
    turns.half = Half::Write;
    turns.assert_ready(OPERATIONS);
    turns.assert_yields();
    turns.half = Half::Read;
    turns.assert_yields();
}

#[test]
fn erased_halves_have_the_same_budget() {
    let io = Io::new(1, usize::MAX);
    let mut connection = Connection::new(io.clone(), io).erase();
    let mut cx = Context::from_waker(Waker::noop());
    let mut polls =
        (0..=OPERATIONS).map(|_| Pin::new(&mut connection.reader).poll_read(&mut cx, &mut [0]));
    let ready = polls.position(|poll| poll.is_pending());
    assert_eq!(ready, Some(OPERATIONS));
}

#[test]
fn vectored_operations_reach_the_stream_as_they_are() {
    let io = Io::new(4, usize::MAX);
    let mut connection = Connection::new(io.clone(), io.clone()).erase();
    let mut cx = Context::from_waker(Waker::noop());
    let (mut a, mut b) = ([0; 2], [0; 2]);
    let bufs = &mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
    let read = Pin::new(&mut connection.reader).poll_read_vectored(&mut cx, bufs);
    let bufs = [IoSlice::new(&a), IoSlice::new(&b)];
    let written = Pin::new(&mut connection.writer).poll_write_vectored(&mut cx, &bufs);
    // Both buffers at once. The default methods would pass only the first.
    assert!(matches!(read, Poll::Ready(Ok(4))), "{read:?}");
    assert!(matches!(written, Poll::Ready(Ok(4))), "{written:?}");
    assert_eq!(
        (connection.peer.bytes_in(), connection.peer.bytes_out()),
        (4, 4)
    );
}

#[test]
fn one_that_floods_with_small_reads_lets_others_have_their_turns() {
    // One read in a turn beside it, 32 in each turn of its own.
    assert_flood_lets_others(1, OPERATIONS);
}

#[test]
fn one_that_floods_with_large_reads_lets_others_have_their_turns() {
    // A service reads 64 KiB at once.
    assert_flood_lets_others(BYTES, 4);
}

/// Serves one client that is always ready, with operations of `size` bytes, beside one that has
/// something to read once in each turn. Between two turns of the second, the first has at most
/// `most` operations.
fn assert_flood_lets_others(size: usize, most: usize) {
    // Without a budget the flood would end first. It is finite so that this test ends.
    let flood = Io::new(size, 100_000);
    let quiet = Quiet::new(&flood, 100);
    let seen = quiet.seen.clone();
    let listener = Listeners::from(Once::new(Connection::new(quiet, sink())))
        .and(Once::new(Connection::new(flood.clone(), sink())));
    let ex = Executor::new();
    let served = ex.block_on(halves::serve(
        &ex,
        listener,
        async |Connection { reader, writer, .. }| service::discard(reader, writer).await,
    ));
    assert_eq!(served.expect("served").stats.accepted, 2);

    let seen = seen.lock().expect("no panic");
    assert_eq!(seen.len(), 100);
    assert!(seen[99] > 0, "the flood runs at the same time");
    let between = seen.windows(2).map(|pair| pair[1] - pair[0]);
    let worst = between.max().expect("99 pairs");
    // An executor may run one of them twice in a row, now and then.
    assert!(
        worst <= 2 * most,
        "{worst} operations between two turns of another"
    );
}

#[derive(Clone, Copy, Debug)]
enum Half {
    Read,
    ReadVectored,
    Write,
    WriteVectored,
}

impl Half {
    const ALL: [Self; 4] = [
        Self::Read,
        Self::ReadVectored,
        Self::Write,
        Self::WriteVectored,
    ];
}

/// A connection with halves that are always ready, polled by hand.
struct Turns {
    half: Half,
    size: usize,
    io: Io,
    connection: Connection<Io, Io>,
    woken: Arc<Woken>,
}

impl Turns {
    fn new(half: Half, size: usize) -> Self {
        let io = Io::new(size, usize::MAX);
        Self {
            half,
            size,
            connection: Connection::new(io.clone(), io.clone()),
            io,
            woken: Arc::default(),
        }
    }

    #[track_caller]
    fn assert_ready(&mut self, times: usize) {
        let woken = self.woken.count();
        for n in 0..times {
            let polled = self.poll();
            assert!(
                matches!(polled, Poll::Ready(Ok(n)) if n == self.size),
                "{:?} of {}, number {n} of {times}: {polled:?}",
                self.half,
                self.size
            );
        }
        assert_eq!(self.woken.count(), woken);
    }

    /// Pending, without a poll of the stream, which is ready; and the task is woken.
    #[track_caller]
    fn assert_yields(&mut self) {
        let operations = self.io.operations();
        self.assert_pending(1);
        assert_eq!(self.io.operations(), operations);
    }

    /// Pending, because the stream is; no task is woken.
    #[track_caller]
    fn assert_waits(&mut self) {
        self.io.0.waits.store(true, Ordering::Relaxed);
        self.assert_pending(0);
    }

    /// Pending, after this many wakes of the task.
    #[track_caller]
    fn assert_pending(&mut self, wakes: usize) {
        let (half, size, woken) = (self.half, self.size, self.woken.count());
        let polled = self.poll();
        assert!(polled.is_pending(), "{half:?} of {size}: {polled:?}");
        assert_eq!(self.woken.count(), woken + wakes, "{half:?} of {size}");
    }

    fn poll(&mut self) -> Poll<io::Result<usize>> {
        let waker = self.woken.clone().into();
        let cx = &mut Context::from_waker(&waker);
        let mut buf = vec![0; self.size];
        let (a, b) = buf.split_at_mut(self.size / 2);
        let Connection { reader, writer, .. } = &mut self.connection;
        let (reader, writer) = (Pin::new(reader), Pin::new(writer));
        match self.half {
            Half::Read => reader.poll_read(cx, &mut buf),
            Half::ReadVectored => {
                reader.poll_read_vectored(cx, &mut [IoSliceMut::new(a), IoSliceMut::new(b)])
            }
            Half::Write => writer.poll_write(cx, &buf),
            Half::WriteVectored => {
                writer.poll_write_vectored(cx, &[IoSlice::new(a), IoSlice::new(b)])
            }
        }
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A stream, to read and to write, that is always ready. Clones are the same stream.
#[derive(Clone)]
struct Io(Arc<Shared>);

struct Shared {
    /// The bytes of an operation.
    size: usize,
    /// The operations until the end of input.
    most: usize,
    operations: AtomicUsize,
    /// The next operation is not ready, once.
    waits: AtomicBool,
}

impl Io {
    fn new(size: usize, most: usize) -> Self {
        Self(Arc::new(Shared {
            size,
            most,
            operations: AtomicUsize::new(0),
            waits: AtomicBool::new(false),
        }))
    }

    fn operations(&self) -> usize {
        self.0.operations.load(Ordering::Relaxed)
    }

    fn poll(&self, room: usize) -> Poll<io::Result<usize>> {
        if self.0.waits.swap(false, Ordering::Relaxed) {
            return Poll::Pending;
        }
        if self.0.operations.fetch_add(1, Ordering::Relaxed) >= self.0.most {
            return Poll::Ready(Ok(0));
        }
        Poll::Ready(Ok(room.min(self.0.size)))
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(buf.len())
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(bufs.iter().map(|buf| buf.len()).sum())
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(buf.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(bufs.iter().map(|buf| buf.len()).sum())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A stream with one byte to read in each turn. It records the progress of the flood at each.
struct Quiet {
    flood: Io,
    turns: usize,
    seen: Arc<Mutex<Vec<usize>>>,
    ready: bool,
}

impl Quiet {
    fn new(flood: &Io, turns: usize) -> Self {
        Self {
            flood: flood.clone(),
            turns,
            seen: Arc::default(),
            ready: false,
        }
    }
}

impl AsyncRead for Quiet {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.ready = !self.ready;
        if self.ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut seen = self.seen.lock().expect("no panic");
        if seen.len() == self.turns {
            return Poll::Ready(Ok(0));
        }
        seen.push(self.flood.operations());
        Poll::Ready(Ok(1))
    }
}
