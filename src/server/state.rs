//! What a server's loop, its connections' tasks and its handles share.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use fastrand::Rng;

use super::deadlines::Watch;
use super::event::{Closed, Event};
use super::registry::Registry;
use crate::catch::guard;
use crate::connection::{Home, Host, Peer, Phase, Record};
use crate::shutdown::Shutdown;
use crate::stats::{Reason, count};
use crate::time::{Clock, Stamp};
use crate::timeout::Timeouts;

/// One serving: the registry, which its handles share, and what it was configured with.
pub(super) struct State {
    pub(super) registry: Arc<Registry>,
    pub(super) home: Arc<Home>,
    timeouts: Timeouts,
    /// Gives each connection its part of the lifetime.
    random: Mutex<Rng>,
    observer: Option<Observer>,
}

pub(super) type Observer = Box<dyn Fn(&Event) + Send + Sync>;

/// One connection's place in the registry, given back when it is dropped.
pub(super) struct Ticket {
    state: Arc<State>,
    record: Arc<Record>,
    /// None where there is no deadline at present.
    watch: Option<Box<Watch>>,
    /// None once it is closed.
    seat: Option<NonZeroUsize>,
}

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
        Arc::new_cyclic(|state: &Weak<Self>| Self {
            registry,
            home: Arc::new(Home {
                clock,
                shutdown,
                host: state.clone(),
            }),
            timeouts,
            random: Mutex::new(random),
            observer,
        })
    }

    pub(super) fn emit(&self, event: impl FnOnce() -> Event) {
        if let Some(observer) = &self.observer {
            observer(&event());
        }
    }

    /// Takes a connection in, or says nothing to it: none, when its source is refused.
    pub(super) fn admit(self: &Arc<Self>, peer: &Peer) -> Option<Ticket> {
        let record = peer.record();
        record.serve(self.registry.next_id(), &self.home);
        count(&self.registry.counters.accepted, 1);
        if !record.anonymous.load(Ordering::Acquire)
            && let Err(reason) = self.check(record)
        {
            self.refuse(peer, reason);
            return None;
        }
        let seat = self.registry.enter(record);
        let watch = self.timeouts.always().then(|| {
            let lifetime = self.timeouts.lifetime;
            let lifetime = lifetime.map(|lifetime| lifetime.mul_f64(self.youth()));
            Box::new(Watch::new(record, lifetime))
        });
        self.emit(|| Event::Opened(peer.clone()));
        Some(Ticket {
            state: self.clone(),
            record: record.clone(),
            watch,
            seat: Some(seat),
        })
    }

    fn check(&self, record: &Record) -> Result<(), Reason> {
        let now = self.home.clock.stamp();
        self.registry.admission.check(record, now)
    }

    fn youth(&self) -> f64 {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        1.0 - JITTER * random.f64()
    }

    fn refuse(&self, peer: &Peer, reason: Reason) {
        let record = peer.record();
        record.close(reason);
        self.registry.counters.end(reason, 0, 0);
        self.tell_refusal(peer, reason, record.opened());
    }

    fn tell_refusal(&self, peer: &Peer, reason: Reason, now: Stamp) {
        if let Some(unsaid) = self.registry.admission.tell(now) {
            self.emit(|| Event::Refused {
                peer: peer.clone(),
                reason,
                unsaid,
            });
        }
    }
}

impl Host for State {
    fn identify(&self, record: &Arc<Record>) -> Result<(), Reason> {
        let admitted = self.check(record);
        if record.verdict().is_some() {
            // It has ended meanwhile, and nobody else would give its place back.
            let now = self.home.clock.stamp();
            self.registry.admission.leave(record, now);
        }
        admitted
    }
}

impl Ticket {
    pub(super) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    pub(super) fn home(&self) -> &Home {
        &self.state.home
    }

    /// Looks at the deadlines, if it is time to. Called at each poll of the task.
    pub(super) fn look(&mut self) {
        let record = &self.record;
        if !record.is_reminded() {
            return;
        }
        let shaking = || (record.phase() == Phase::Handshake).then(|| Watch::new(record, None));
        let watch = self.watch.take().or_else(|| shaking().map(Box::new));
        let (timeouts, clock) = (&self.state.timeouts, &self.state.home.clock);
        self.watch = watch.and_then(|mut watch| {
            // It asks the link.
            let goes_on = guard(|| watch.look(record, timeouts, clock)).unwrap_or_else(|_| {
                record.abort(Reason::Panic);
                false
            });
            goes_on.then_some(watch)
        });
    }

    /// The connection is over: for this reason, unless it was ended for another before.
    pub(super) fn close(&mut self, reason: Reason, error: Option<io::Error>) {
        let Some(seat) = self.seat.take() else {
            return;
        };
        let reason = self.record.settle(reason);
        let now = self.state.home.clock.stamp();
        let registry = &self.state.registry;
        registry.admission.leave(&self.record, now);
        let (bytes_in, bytes_out) = (self.record.bytes_in(), self.record.bytes_out());
        registry.counters.end(reason, bytes_in, bytes_out);
        registry.end();
        if is_refusal(reason) {
            self.state
                .tell_refusal(&Peer::of(&self.record), reason, now);
        } else {
            self.state.emit(|| {
                Event::Closed(Closed {
                    peer: Peer::of(&self.record),
                    reason,
                    error,
                    age: now.since(self.record.opened()),
                })
            });
        }
        registry.leave(seat);
    }
}

/// Whether the connection ended for where it came from: at accept, or when its client was named.
fn is_refusal(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Denied | Reason::PerSource | Reason::AcceptRate
    )
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.seat.is_some() {
            self.record.abort(Reason::Aborted);
            self.close(Reason::Aborted, None);
        }
    }
}
