//! One direction of a simulated connection: bytes on their way.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::faults::Faults;
use super::plan::{PlannedFault, below};
use super::trace::Trace;
use crate::time::{Clock, Sleep};

/// The number of latencies in a range. With the default range, each is a multiple of 5 ms.
const LATENCIES: u32 = 10;

/// The nanoseconds of a tick. With a bandwidth, bytes arrive at ticks: pieces of one byte do not each
/// wake a task.
const TICK_NANOS: u128 = 1_000_000;

/// The conditions that all wires of a run share.
pub(super) struct Conditions {
    pub(super) faults: Faults,
    pub(super) clock: Clock,
    pub(super) trace: Trace,
}

/// One direction of a connection.
pub(super) struct Wire(Mutex<WireState>);

pub(super) struct WireState {
    /// The time of the first tick.
    begin: Instant,
    pub(super) data: VecDeque<u8>,
    /// The times at which runs of these bytes arrive.
    pub(super) arrivals: VecDeque<(Instant, usize)>,
    /// Bytes of `data` that have arrived.
    pub(super) arrived: usize,
    /// The time at which the last byte has been carried: no byte overtakes another one.
    pub(super) last_arrival: Instant,
    /// Bytes that were written, with those that were lost.
    pub(super) written: u64,
    pub(super) faults: VecDeque<PlannedFault>,
    pub(super) rng: Rng,
    output: Output,
    pub(super) reader_dropped: bool,
    pub(super) is_reset: bool,
    /// Bytes are lost.
    pub(super) vanished: bool,
    /// Runs until the next bytes arrive, at this time.
    arrival: Option<(Instant, Sleep)>,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

/// The state of the writing end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Open,
    /// The end arrives at this time.
    Ended(Instant),
    /// The end is lost: the direction has vanished.
    EndLost,
}

impl Wire {
    pub(super) fn new(faults: Vec<PlannedFault>, seed: u64, now: Instant) -> Self {
        Self(Mutex::new(WireState {
            begin: now,
            data: VecDeque::new(),
            arrivals: VecDeque::new(),
            arrived: 0,
            last_arrival: now,
            written: 0,
            faults: faults.into(),
            rng: Rng::with_seed(seed),
            output: Output::Open,
            reader_dropped: false,
            is_reset: false,
            vanished: false,
            arrival: None,
            reader: None,
            writer: None,
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, WireState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, releases the lock, and wakes both tasks.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut WireState) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state);
        let woken = [state.reader.take(), state.writer.take()];
        drop(state);
        woken.into_iter().flatten().for_each(Waker::wake);
        changed
    }
}

impl WireState {
    /// Moves the bytes that have arrived by now.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some(&(time, bytes)) = self.arrivals.front() {
            if time > now {
                break;
            }
            self.arrived += bytes;
            self.arrivals.pop_front();
        }
    }

    /// Waits for the next bytes or the end. Returns the waker of the reader before.
    #[must_use = "its drop may end a task"]
    pub(super) fn wait(&mut self, clock: &Clock, cx: &mut Context<'_>) -> Option<Waker> {
        let next = self
            .arrivals
            .front()
            .map(|(time, _)| *time)
            .or(self.end_arrival());
        if self.arrival.as_ref().map(|(time, _)| *time) != next {
            self.arrival = next.map(|time| (time, clock.sleep_until(time)));
        }
        if let Some((_, arrival)) = &mut self.arrival {
            let _ = Pin::new(arrival).poll(cx);
        }
        self.reader.replace(cx.waker().clone())
    }

    pub(super) fn is_ended(&self, now: Instant) -> bool {
        self.data.is_empty() && self.end_arrival().is_some_and(|time| time <= now)
    }

    /// Takes bytes on, which arrive later.
    pub(super) fn push(&mut self, bytes: &[u8], conditions: &Conditions) {
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
        let arrival = match faults.bandwidth {
            Some(_) => self.next_tick(self.last_arrival),
            None => self.last_arrival,
        };
        match self.arrivals.back_mut() {
            Some((time, waiting)) if *time == arrival => *waiting += bytes.len(),
            _ => self.arrivals.push_back((arrival, bytes.len())),
        }
    }

    /// Returns the first tick at this time or later.
    fn next_tick(&self, time: Instant) -> Instant {
        let over = (time - self.begin).as_nanos() % TICK_NANOS;
        let rest = u64::try_from((TICK_NANOS - over) % TICK_NANOS).unwrap_or_default();
        time + Duration::from_nanos(rest)
    }

    /// Returns the number of bytes that the next call moves.
    pub(super) fn piece(&mut self, max: usize, faults: &Faults) -> usize {
        let max = max.min(faults.max_piece);
        if faults.max_piece == usize::MAX || max <= 1 {
            return max;
        }
        // Small pieces are as frequent as large ones, and all bytes at once are not rare.
        let bits = self.rng.u32(0..=(max - 1).ilog2() + 1);
        max.min(1 + below(&mut self.rng, 1 << bits))
    }

    /// Loses all bytes, and fails all later calls. Returns true if it was not reset before.
    pub(super) fn reset(&mut self) -> bool {
        let resets = !self.is_reset;
        self.is_reset = true;
        self.data = VecDeque::new();
        self.arrivals = VecDeque::new();
        self.arrived = 0;
        resets
    }

    /// Ends the direction. Returns true if it was not ended before.
    pub(super) fn close(&mut self, conditions: &Conditions) -> bool {
        if self.is_closed() {
            return false;
        }
        let now = conditions.clock.now();
        self.output = if self.vanished {
            Output::EndLost
        } else {
            Output::Ended(self.last_arrival.max(now))
        };
        !self.is_reset
    }

    pub(super) fn is_closed(&self) -> bool {
        self.output != Output::Open
    }

    fn end_arrival(&self) -> Option<Instant> {
        match self.output {
            Output::Ended(time) => Some(time),
            Output::Open | Output::EndLost => None,
        }
    }
}

/// Returns one of the latencies. They are few, so that many events have the same time: only tasks that
/// are ready at the same time run in different orders.
pub(super) fn latency(rng: &mut Rng, faults: &Faults) -> Duration {
    let range = &faults.latency;
    let step = range.end.saturating_sub(range.start) / LATENCIES;
    range.start + step * rng.u32(..LATENCIES)
}
