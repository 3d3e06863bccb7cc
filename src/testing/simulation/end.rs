//! The halves of a simulated connection, and its link.

use std::io::{self, ErrorKind, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fastrand::Rng;
use futures_lite::{AsyncRead, AsyncWrite};

use super::plan::{Fault, FaultKind, Plan, PlannedFault, Way, happens};
use super::trace::Event;
use super::wire::{Conditions, Wire, WireState};
use crate::connection::{Connection, DiscardBudget, Endpoint, Link, Peer};

/// The reading half of a simulated connection.
#[derive(Debug)]
pub struct SimReader(Arc<End>);

/// The writing half of a simulated connection. As on a socket, dropping only the writer has no
/// effect.
#[derive(Debug)]
pub struct SimWriter(Arc<End>);

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

    /// Resets the connection. Returns true if it was not reset before.
    fn reset(&self) -> bool {
        let wires = [&self.incoming, &self.outgoing];
        let resets = wires.map(|wire| wire.change(WireState::reset));
        resets.contains(&true)
    }

    /// Ends the output.
    fn close(&self) {
        if self.outgoing.change(|state| state.close(&self.conditions)) {
            self.record(Event::Closed(self.connection, self.way));
        }
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let conditions = &*self.conditions;
        let now = conditions.clock.now();
        let mut state = self.incoming.lock();
        if state.is_reset {
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
            let before = state.wait(&conditions.clock, cx);
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
            if state.is_reset {
                return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
            }
            if state.reader_dropped || state.is_closed() {
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
        let conditions = &*self.conditions;
        conditions.trace.add_fault(Fault::Planned {
            connection: self.connection,
            way: self.way,
            fault,
        });
        match fault.kind {
            FaultKind::Stall(time) => self.outgoing.change(|state| {
                state.last_arrival = state.last_arrival.max(conditions.clock.now()) + time;
            }),
            FaultKind::Reset => {
                self.reset();
            }
            FaultKind::End => {
                self.outgoing.change(|state| state.close(conditions));
            }
            FaultKind::Vanish => self.outgoing.change(|state| state.vanished = true),
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.close();
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
        end.close();
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
        let end = &self.0;
        if end.reset() {
            end.record(Event::Reset(end.connection, end.way));
        }
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
        self.0.close();
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
