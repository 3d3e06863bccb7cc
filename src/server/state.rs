//! The state that the accept loop and the tasks of connections share, and the ticket of a
//! connection.

use std::io;
use std::sync::Arc;
use std::task::Context;

use fastrand::Rng;

use super::deadlines::Deadlines;
use super::event::{Closed, Event};
use super::event_limiter::{EventLimiter, LimitedEvent};
use super::registry::Registry;
use crate::catch::catch_panic;
use crate::connection::{
    Connection, DeadlineCheck, Flag, Link, Peer, Phase, Record, ServerContext, ServerHooks,
    SocketGuard,
};
use crate::limits::Timeouts;
use crate::reason::Reason;
use crate::shutdown::Shutdown;
use crate::stats::count;
use crate::time::{Clock, Stamp};

/// The state of a running server: its settings, and the registry that its handles share.
pub(super) struct ServerState {
    pub(super) registry: Arc<Registry>,
    pub(super) clock: Clock,
    pub(super) shutdown: Shutdown,
    /// The source of the jitter of lifetimes.
    seed: u64,
    /// Called in this order.
    observers: Vec<Observer>,
    pub(super) limiter: EventLimiter,
}

pub(super) type Observer = Box<dyn Fn(&Event) + Send + Sync>;

/// Owns the place of one connection in the registry and the guard of its socket, until
/// [`close`](Self::close). Its drop resets a connection that is still open.
// One pointer, because each task has a ticket. The record leads to the server.
pub(super) struct Ticket(Option<SocketGuard>);

/// The error of a connection that is refused with the reason [`Reason::ProxyHeader`] at accept.
const UNTRUSTED: &str = "the source is not trusted to send a PROXY header";
/// The largest part by which a lifetime is shortened at random.
const MAX_JITTER: f64 = 0.1;
/// The distance between the seeds of two connections: 2^64 divided by the golden ratio, which is odd
/// and spreads them.
const JITTER_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl ServerState {
    pub(super) fn new(
        registry: Arc<Registry>,
        clock: Clock,
        shutdown: Shutdown,
        seed: u64,
        observers: Vec<Observer>,
    ) -> Arc<Self> {
        Arc::new(Self {
            registry,
            clock,
            shutdown,
            seed,
            observers,
            limiter: EventLimiter::default(),
        })
    }

    /// Returns the part of the state that connections use.
    pub(super) fn context(self: &Arc<Self>) -> Arc<ServerContext> {
        let (clock, shutdown) = (self.clock.clone(), self.shutdown.clone());
        let context = Arc::new(ServerContext::new(clock, shutdown, self.clone()));
        self.registry.settings.apply_to(&context);
        context
    }

    pub(super) fn emit(&self, event: impl FnOnce() -> Event) {
        if !self.observers.is_empty() {
            let event = event();
            self.observers.iter().for_each(|observer| observer(&event));
        }
    }

    /// Emits an event of a kind that is limited per second, or counts it as suppressed.
    pub(super) fn emit_limited(
        &self,
        kind: LimitedEvent,
        now: Stamp,
        event: impl FnOnce() -> Event,
    ) {
        let (emit, suppressed) = self.limiter.count(kind, now);
        if let Some(suppressed) = suppressed {
            self.emit(|| suppressed);
        }
        if emit {
            self.emit(event);
        }
    }

    /// Admits a connection and enters it into the registry, or returns the reason of the refusal.
    pub(super) fn admit(&self, peer: &Peer) -> Result<Ticket, Reason> {
        let record = peer.record();
        self.registry.accept(record);
        if let Some(ending) = record.ending() {
            // The listener refuses it.
            return Err(ending.reason);
        }
        self.registry.admit(record, self.clock.stamp())?;
        // Read after the connection is entered: new timeouts are either found here, or checked by
        // `Handle::set_timeouts`.
        let timeouts = self.registry.settings.timeouts();
        if timeouts.is_permanent() {
            let deadlines = self.new_deadlines(record, &timeouts, record.opened());
            record.set_deadlines(Box::new(deadlines));
        } else if record.phase() == Phase::Handshake {
            record.recheck_deadlines();
        }
        self.emit(|| Event::Opened(peer.clone()));
        Ok(Ticket(Some(SocketGuard::of(record))))
    }

    /// `now` is the time from which the minimum rate is measured.
    fn new_deadlines(&self, record: &Record, timeouts: &Timeouts, now: Stamp) -> Deadlines {
        let jitter = self.jitter(record.id());
        Deadlines::new(record, timeouts, self.registry.clone(), jitter, now)
    }

    /// Returns the factor for the lifetime of a connection. It is the same in each call, so that new
    /// timeouts do not change the lifetimes.
    fn jitter(&self, id: u64) -> f64 {
        let seed = self.seed.wrapping_add(id.wrapping_mul(JITTER_STEP));
        1.0 - MAX_JITTER * Rng::with_seed(seed).f64()
    }

    /// Closes a connection that was not admitted.
    pub(super) fn refuse<R, W>(&self, connection: Connection<R, W>, reason: Reason) {
        let Connection {
            reader,
            writer,
            peer,
        } = connection;
        let record = peer.record();
        record.close(reason);
        // Counted before the client can read the end of input.
        self.registry.refuse(record, reason);
        let guard = SocketGuard::of(record);
        let _ = catch_panic(|| drop((reader, writer)));
        guard.refuse();
        let error = (reason == Reason::ProxyHeader).then_some(UNTRUSTED);
        self.report_refusal(&peer, reason, error, record.opened());
    }

    fn report_refusal(
        &self,
        peer: &Peer,
        reason: Reason,
        error: Option<impl ToString>,
        now: Stamp,
    ) {
        self.emit_limited(LimitedEvent::Refused, now, || Event::Refused {
            peer: peer.clone(),
            reason,
            error: error.map(|error| error.to_string()),
        });
    }
}

impl ServerHooks for ServerState {
    fn identify(&self, record: &Arc<Record>) -> Result<(), Reason> {
        let (admission, now) = (&self.registry.admission, self.clock.stamp());
        let admitted = admission.check(record, now).map(drop);
        if record.ending().is_some() {
            // The connection has ended meanwhile, so its count must be given back here.
            admission.leave(record, now);
        }
        admitted
    }

    fn deadlines(&self, record: &Record) -> Option<Box<dyn DeadlineCheck>> {
        if record.ending().is_some() {
            return None;
        }
        let timeouts = self.registry.settings.timeouts();
        if !timeouts.is_permanent() && record.phase() != Phase::Handshake {
            return None;
        }
        let deadlines = self.new_deadlines(record, &timeouts, self.clock.stamp());
        Some(Box::new(deadlines))
    }

    fn dropped(&self, record: &Arc<Record>, bytes: usize) {
        count(&self.registry.counters.bytes_unsent, bytes as u64);
        self.emit(|| Event::Unsent {
            peer: Peer::of(record),
            bytes,
        });
    }

    fn closed(&self, record: &Arc<Record>, reason: Reason, error: Option<io::Error>) {
        let now = self.clock.stamp();
        self.registry.admission.leave(record, now);
        let age = now.since(record.opened());
        self.registry.end(record, reason, age);
        let peer = || Peer::of(record);
        if reason.is_refusal() {
            self.report_refusal(&peer(), reason, error.as_ref(), now);
        }
        self.emit(|| {
            Event::Closed(Closed {
                peer: peer(),
                reason,
                error,
                age,
            })
        });
        self.registry.leave();
    }
}

impl Ticket {
    /// Returns the guard of the socket, until the ticket is closed.
    pub(super) fn guard(&self) -> Option<&SocketGuard> {
        self.0.as_ref()
    }

    pub(super) fn record(&self) -> Option<&Arc<Record>> {
        self.guard().map(SocketGuard::owner)
    }

    /// Returns true once the connection has an ending.
    pub(super) fn is_ended(&self) -> bool {
        self.record()
            .is_some_and(|record| record.ending().is_some())
    }

    /// Registers the task to be woken when the connection is ended, and checks the deadlines.
    /// Returns false if the connection is ended already. Called after the handler was polled, so
    /// that input that arrived in time counts.
    #[inline(always)]
    pub(super) fn register(&self, cx: &Context<'_>) -> bool {
        if let Some(record) = self.record() {
            record.register_task(cx.waker());
            record.check_deadlines(cx.waker());
        }
        !self.is_ended()
    }

    /// Closes the connection, for this reason unless an earlier one is set.
    pub(super) fn close(&mut self, reason: Reason, error: Option<io::Error>) {
        let Some(guard) = self.0.take() else {
            return;
        };
        let record = guard.owner().clone();
        if reason.is_refusal() && !record.flags.has(Flag::Reset) {
            // The same as for a refusal at accept.
            guard.shut_down();
        }
        let reason = record.finish(reason);
        guard.close();
        drop(guard);
        if let Some(context) = record.context() {
            context.hooks.closed(&record, reason, error);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(record) = self.record() {
            record.abort(Reason::Aborted);
            self.close(Reason::Aborted, None);
        }
    }
}
