//! What a server's loop, its connections' tasks and its handles share.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;

use fastrand::Rng;

use super::deadlines::Watch;
use super::event::{Closed, Event};
use super::quiet::{Kind, Quiet};
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

/// One serving: the registry, which its handles share, and what it was configured with.
pub(super) struct State {
    pub(super) registry: Arc<Registry>,
    pub(super) clock: Clock,
    pub(super) shutdown: Shutdown,
    timeouts: Timeouts,
    /// Gives each connection its part of the lifetime.
    random: Mutex<Rng>,
    observer: Option<Observer>,
    pub(super) quiet: Quiet,
}

pub(super) type Observer = Box<dyn Fn(&Event) + Send + Sync>;

/// One connection's place in the registry, given back when it is dropped, and the server's hold on
/// its stream; both are gone when it is closed.
// One pointer: each task has one. The server is found through the record.
pub(super) struct Ticket(Option<SocketGuard>);

/// Up to this part of its lifetime, a connection gets less.
const JITTER: f64 = 0.1;

impl State {
    pub(super) fn new(
        registry: Arc<Registry>,
        clock: Clock,
        shutdown: Shutdown,
        timeouts: Timeouts,
        random: Rng,
        observer: Option<Observer>,
    ) -> Arc<Self> {
        Arc::new(Self {
            registry,
            clock,
            shutdown,
            timeouts,
            random: Mutex::new(random),
            observer,
            quiet: Quiet::default(),
        })
    }

    /// What its connections know of it.
    pub(super) fn context(self: &Arc<Self>) -> Arc<ServerContext> {
        Arc::new(ServerContext {
            clock: self.clock.clone(),
            shutdown: self.shutdown.clone(),
            timed: self.timeouts.idle.is_some() || self.timeouts.min_rate.is_some(),
            hooks: self.clone(),
        })
    }

    pub(super) fn emit(&self, event: impl FnOnce() -> Event) {
        if let Some(observer) = &self.observer {
            observer(&event());
        }
    }

    /// Reports what may come in great numbers: some in a second one by one, the rest as a count.
    pub(super) fn report(&self, kind: Kind, now: Stamp, event: impl FnOnce() -> Event) {
        let (report, rest) = self.quiet.report(kind, now);
        if let Some(rest) = rest {
            self.emit(|| rest);
        }
        if report {
            self.emit(event);
        }
    }

    /// Takes a connection in. The error is why it is refused.
    pub(super) fn admit(&self, peer: &Peer) -> Result<Ticket, Reason> {
        let record = peer.record();
        count(&self.registry.counters.accepted, 1);
        if !record.flags.has(Flag::Anonymous) {
            self.check(record)?;
        }
        self.registry.enter(record);
        if self.timeouts.always() {
            let lifetime = self.timeouts.lifetime;
            let lifetime = lifetime.map(|lifetime| lifetime.mul_f64(self.jitter()));
            let watch = Watch::new(record, self.timeouts.clone(), lifetime);
            record.set_deadlines(Box::new(watch));
        } else if record.phase() == Phase::Handshake {
            record.recheck_deadlines();
        }
        self.emit(|| Event::Opened(peer.clone()));
        Ok(Ticket(Some(SocketGuard::of(record))))
    }

    fn check(&self, record: &Record) -> Result<(), Reason> {
        let now = self.clock.stamp();
        self.registry.admission.check(record, now)
    }

    fn jitter(&self) -> f64 {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        1.0 - JITTER * random.f64()
    }

    /// Ends a connection that is not taken in.
    pub(super) fn refuse<R, W>(&self, connection: Connection<R, W>, reason: Reason) {
        let Connection {
            reader,
            writer,
            peer,
        } = connection;
        let record = peer.record();
        record.close(reason);
        // Before the client reads the end.
        self.registry.counters.end(reason, 0, 0);
        let guard = SocketGuard::of(record);
        let _ = catch_panic(|| drop((reader, writer)));
        guard.refuse();
        self.tell_refusal(&peer, reason, record.opened());
    }

    fn tell_refusal(&self, peer: &Peer, reason: Reason, now: Stamp) {
        self.report(Kind::Refused, now, || Event::Refused {
            peer: peer.clone(),
            reason,
        });
    }
}

impl ServerHooks for State {
    fn identify(&self, record: &Arc<Record>) -> Result<(), Reason> {
        let admitted = self.check(record);
        if record.verdict().is_some() {
            // It has ended meanwhile, and nobody else would give its place back.
            let now = self.clock.stamp();
            self.registry.admission.leave(record, now);
        }
        admitted
    }

    fn handshake_deadline(&self, record: &Record) -> Box<dyn DeadlineCheck> {
        Box::new(Watch::new(record, self.timeouts.clone(), None))
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
        let (bytes_in, bytes_out) = (record.bytes_in(), record.bytes_out());
        self.registry.counters.end(reason, bytes_in, bytes_out);
        self.registry.end();
        let peer = || Peer::of(record);
        if reason.is_refusal() {
            self.tell_refusal(&peer(), reason, now);
        }
        self.emit(|| {
            Event::Closed(Closed {
                peer: peer(),
                reason,
                error,
                age: now.since(record.opened()),
            })
        });
        self.registry.leave(record);
    }
}

impl Ticket {
    /// The guard, until it is closed.
    pub(super) fn guard(&self) -> Option<&SocketGuard> {
        self.0.as_ref()
    }

    pub(super) fn record(&self) -> Option<&Arc<Record>> {
        self.guard().map(SocketGuard::host)
    }

    /// Whether the connection was ended from outside.
    pub(super) fn is_ended(&self) -> bool {
        self.record()
            .is_some_and(|record| record.verdict().is_some())
    }

    /// The task waits, and is woken when the connection is ended. False: it was ended before. The
    /// deadlines are judged here: after the handler was polled, so that input in time counts.
    #[inline(always)]
    pub(super) fn attend(&self, cx: &Context<'_>) -> bool {
        if let Some(record) = self.record() {
            record.register_task(cx.waker());
            record.check_deadlines(cx.waker());
        }
        !self.is_ended()
    }

    /// The connection is over: for this reason, unless it was ended for another before.
    pub(super) fn close(&mut self, reason: Reason, error: Option<io::Error>) {
        let Some(guard) = self.0.take() else {
            return;
        };
        let record = guard.host().clone();
        if reason.is_refusal() && !record.flags.has(Flag::Reset) {
            // As at accept.
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
