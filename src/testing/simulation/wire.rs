//! The halves of a simulated connection, and the wires between its ends.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind, Read};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_lite::{AsyncRead, AsyncWrite};

use super::faults::Faults;
use super::plan::{FaultKind, Plan, PlannedFault, Way, happens};
use super::trace::{Event, Trace};
use crate::connection::{Connection, DiscardBudget, Endpoint, Link, Peer};
use crate::time::{Clock, Sleep};

/// The reading half of a simulated connection.
#[derive(Debug)]
pub struct SimReader(Arc<End>);

/// The writing half of a simulated connection. As on a socket, dropping only the writer has no
/// effect.
#[derive(Debug)]
pub struct SimWriter(Arc<End>);

/// The conditions that all wires of a run share.
pub(super) struct Conditions {
    pub(super) faults: Faults,
    pub(super) clock: Clock,
    pub(super) trace: Trace,
}

/// One end, shared by its halves and its link like the clones of a socket.
struct End {
    connection: u64,
    /// The way of this end's output.
    way: Way,
    incoming: Arc<Wire>,
    outgoing: Arc<Wire>,
    conditions: Arc<Conditions>,
    discard: DiscardBudget,
}

/// The link of an end. The server drops it at the end of the connection.
struct EndLink(Arc<End>);

/// One direction of a connection.
struct Wire(Mutex<WireState>);

struct WireState {
    data: VecDeque<u8>,
    /// The times at which runs of these bytes arrive.
    arrivals: VecDeque<(Instant, usize)>,
    /// Bytes of `data` that have arrived.
    arrived: usize,
    /// The time at which the last byte arrives: no byte overtakes another one.
    last_arrival: Instant,
    /// Bytes that were written, with those that were lost.
    written: u64,
    faults: VecDeque<PlannedFault>,
    rng: Rng,
    /// The time at which the end of the output arrives.
    closed: Option<Instant>,
    reader_dropped: bool,
    reset: bool,
    /// Bytes are lost.
    vanished: bool,
    /// Runs until the next bytes arrive.
    arrival: Option<Sleep>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Makes the two ends of a connection: the client's and the server's.
pub(super) fn pair(
    connection: u64,
    plan: Plan,
    conditions: &Arc<Conditions>,
    [client, server]: [Endpoint; 2],
) -> [Connection<SimReader, SimWriter>; 2] {
    let mut seeds = Rng::with_seed(plan.seed);
    let [up, down] = plan.faults.map(|faults| {
        let seed = seeds.u64(..);
        Arc::new(Wire::new(faults, seed, conditions.clock.now()))
    });
    let end =
        |way, incoming: &Arc<Wire>, outgoing: &Arc<Wire>, remote: &Endpoint, local: &Endpoint| {
            let end = Arc::new(End {
                connection,
                way,
                incoming: incoming.clone(),
                outgoing: outgoing.clone(),
                conditions: conditions.clone(),
                discard: DiscardBudget::default(),
            });
            let peer = Peer::new(remote.clone(), local.clone());
            let peer = peer.with_link(Arc::new(EndLink(end.clone())));
            Connection::from_parts(SimReader(end.clone()), SimWriter(end), peer)
        };
    [
        end(Way::Up, &down, &up, &server, &client),
        end(Way::Down, &up, &down, &client, &server),
    ]
}

impl Wire {
    fn new(faults: Vec<PlannedFault>, seed: u64, now: Instant) -> Self {
        Self(Mutex::new(WireState {
            data: VecDeque::new(),
            arrivals: VecDeque::new(),
            arrived: 0,
            last_arrival: now,
            written: 0,
            faults: faults.into(),
            rng: Rng::with_seed(seed),
            closed: None,
            reader_dropped: false,
            reset: false,
            vanished: false,
            arrival: None,
            reader: None,
            writer: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, WireState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, releases the lock, and wakes both tasks.
    fn change(&self, change: impl FnOnce(&mut WireState)) {
        let mut state = self.lock();
        change(&mut state);
        let woken = [state.reader.take(), state.writer.take()];
        drop(state);
        woken.into_iter().flatten().for_each(Waker::wake);
    }
}

impl WireState {
    /// Moves the bytes that have arrived by now.
    fn settle(&mut self, now: Instant) {
        while let Some(&(time, bytes)) = self.arrivals.front() {
            if time > now {
                break;
            }
            self.arrived += bytes;
            self.arrivals.pop_front();
        }
    }

    /// Returns the time at which the next bytes or the end arrive.
    fn next_arrival(&self) -> Option<Instant> {
        self.arrivals.front().map(|(time, _)| *time).or(self.closed)
    }

    fn is_ended(&self, now: Instant) -> bool {
        self.data.is_empty() && self.closed.is_some_and(|time| time <= now)
    }

    /// Takes bytes on, which arrive later.
    fn push(&mut self, bytes: &[u8], conditions: &Conditions) {
        self.written += bytes.len() as u64;
        if self.vanished {
            return;
        }
        let faults = &conditions.faults;
        let now = conditions.clock.now();
        let sending = faults.bandwidth.map_or(Duration::ZERO, |bandwidth| {
            let nanos = bytes.len() as u128 * 1_000_000_000 / u128::from(bandwidth);
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
        });
        let sent = self.last_arrival.max(now + latency(&mut self.rng, faults));
        self.last_arrival = sent + sending;
        self.data.extend(bytes);
        self.arrivals.push_back((self.last_arrival, bytes.len()));
    }

    /// Returns the number of bytes that the next call moves.
    fn piece(&mut self, max: usize, faults: &Faults) -> usize {
        let max = max.min(faults.max_piece);
        if faults.max_piece == usize::MAX || max <= 1 {
            return max;
        }
        // Small pieces are as frequent as large ones.
        let bits = self.rng.u32(0..=max.ilog2());
        self.rng.usize(1..=1 << bits).min(max)
    }

    fn close(&mut self, conditions: &Conditions) {
        if self.closed.is_none() && !self.vanished {
            let now = conditions.clock.now();
            self.closed = Some(self.last_arrival.max(now));
        }
    }
}

/// Returns a time between the shortest and the longest latency.
pub(super) fn latency(rng: &mut Rng, faults: &Faults) -> Duration {
    let range = &faults.latency;
    let span = range.end.saturating_sub(range.start);
    if span.is_zero() {
        return range.start;
    }
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    range.start + Duration::from_nanos(rng.u64(..nanos))
}

impl End {
    fn record(&self, event: Event) {
        self.conditions.trace.add(event);
    }

    fn incoming_way(&self) -> Way {
        match self.way {
            Way::Up => Way::Down,
            Way::Down => Way::Up,
        }
    }

    fn reset(&self) {
        self.record(Event::Reset(self.connection));
        for wire in [&self.incoming, &self.outgoing] {
            wire.change(|state| {
                state.reset = true;
                state.data = VecDeque::new();
                state.arrivals = VecDeque::new();
                state.arrived = 0;
            });
        }
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let conditions = &*self.conditions;
        let now = conditions.clock.now();
        let mut state = self.incoming.lock();
        if state.reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        state.settle(now);
        if state.arrived == 0 {
            if state.is_ended(now) {
                drop(state);
                self.record(Event::Ended(self.connection, self.incoming_way()));
                return Poll::Ready(Ok(0));
            }
            let arrival = state.next_arrival();
            state.arrival = arrival.map(|time| conditions.clock.sleep_until(time));
            if let Some(arrival) = &mut state.arrival {
                let _ = Pin::new(arrival).poll(cx);
            }
            let before = state.reader.replace(cx.waker().clone());
            drop(state);
            drop(before);
            return Poll::Pending;
        }
        if happens(&mut state.rng, conditions.faults.pauses) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let max = buf.len().min(state.arrived);
        let n = state.piece(max, &conditions.faults);
        let n = state.data.read(&mut buf[..n])?;
        state.arrived -= n;
        let woken = state.writer.take();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        self.record(Event::Read(self.connection, self.incoming_way(), n));
        Poll::Ready(Ok(n))
    }

    fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let conditions = &*self.conditions;
        loop {
            let mut state = self.outgoing.lock();
            if state.reset {
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            if state.reader_dropped || state.closed.is_some() {
                return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
            }
            if let Some(fault) = state.faults.front().copied()
                && fault.at <= state.written
            {
                state.faults.pop_front();
                drop(state);
                self.strike(fault);
                continue;
            }
            let free = conditions.faults.buffer.saturating_sub(state.data.len());
            if free == 0 && !buf.is_empty() {
                let before = state.writer.replace(cx.waker().clone());
                drop(state);
                drop(before);
                return Poll::Pending;
            }
            if happens(&mut state.rng, conditions.faults.pauses) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let before_fault = state.faults.front().map_or(usize::MAX, |fault| {
                usize::try_from(fault.at - state.written).unwrap_or(usize::MAX)
            });
            let max = buf.len().min(free).min(before_fault);
            let n = state.piece(max, &conditions.faults);
            state.push(&buf[..n], conditions);
            let woken = state.reader.take();
            drop(state);
            woken.into_iter().for_each(Waker::wake);
            self.record(Event::Wrote(self.connection, self.way, n));
            return Poll::Ready(Ok(n));
        }
    }

    /// Lets a fault happen in the outgoing direction.
    fn strike(&self, fault: PlannedFault) {
        self.record(Event::Fault(self.connection, self.way, fault));
        let conditions = &*self.conditions;
        match fault.kind {
            FaultKind::Stall(time) => self.outgoing.change(|state| {
                state.last_arrival = state.last_arrival.max(conditions.clock.now()) + time;
            }),
            FaultKind::Reset => self.reset(),
            FaultKind::End => self.outgoing.change(|state| state.close(conditions)),
            FaultKind::Vanish => self.outgoing.change(|state| state.vanished = true),
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let conditions = &*self.conditions;
        self.outgoing.change(|state| state.close(conditions));
        self.incoming.change(|state| state.reader_dropped = true);
    }
}

impl EndLink {
    /// Returns true if a half still exists.
    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Link for EndLink {
    fn poll_linger(&self, cx: &mut Context<'_>, _ended: bool) -> Poll<io::Result<()>> {
        let end = &self.0;
        end.outgoing.change(|state| state.close(&end.conditions));
        // A task of the handler that still has a half gets the input.
        if self.is_shared() {
            return Poll::Ready(Ok(()));
        }
        let discarded = end.discard.poll(cx, |cx, buf| end.poll_read(cx, buf));
        discarded.map(Ok)
    }

    fn unsent(&self) -> Option<usize> {
        Some(self.0.outgoing.lock().data.len())
    }

    fn close(&self) {
        if self.is_shared() {
            // Wakes the halves, so that they check the record.
            for wire in [&self.0.incoming, &self.0.outgoing] {
                wire.change(|_| {});
            }
        }
    }

    fn abort(&self) {
        self.0.reset();
    }
}

impl AsyncRead for SimReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buf)
    }
}

impl AsyncWrite for SimWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let conditions = &self.0.conditions;
        self.0.outgoing.change(|state| state.close(conditions));
        Poll::Ready(Ok(()))
    }
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("End");
        debug
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
