//! Records of connections, and checks of what the server reports about them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use halves::connection::Phase;
use halves::server::ConnectionInfo;
use halves::{Clock, Event, Reason};

use crate::schedules::handlers::Behaviour;
use crate::schedules::settings::Settings;

/// The time that an ended connection may wait for the end of its peer.
const LINGER: Duration = Duration::from_secs(2);
/// The time over which a minimum rate is an average.
const WINDOW: Duration = Duration::from_secs(5);

/// Events of the server, with the time since the begin of the schedule.
pub(crate) struct Reports {
    clock: Clock,
    start: Instant,
    /// Connections since the last check.
    pub(crate) opened: Vec<(u64, Duration)>,
    pub(crate) closed: Vec<Closed>,
    refused: BTreeSet<u64>,
    suppressed: u64,
    /// The number of open connections when the drain began.
    pub(crate) draining: usize,
}

/// A connection that has ended.
pub(crate) struct Closed {
    pub(crate) id: u64,
    at: Duration,
    reason: Reason,
    age: Duration,
    bytes: (u64, u64),
}

/// A connection that was accepted for a handler.
pub(crate) struct Known {
    behaviour: Behaviour,
    opened: Duration,
    /// The time when a byte last moved.
    moved: Duration,
    /// In and out.
    pub(crate) bytes: (u64, u64),
    /// The time since which the stream is being closed.
    closing: Option<Duration>,
    pub(crate) ended: Option<Reason>,
    window: Window,
}

/// The minimum rate of a peer. Its bytes are answered at once, so no time counts, except with a
/// handler that collects: then all time counts from the first byte on.
enum Window {
    None,
    Silent,
    Since(Duration, u64),
    Slow,
}

impl Reports {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            start: clock.now(),
            clock,
            opened: Vec::new(),
            closed: Vec::new(),
            refused: BTreeSet::new(),
            suppressed: 0,
            draining: 0,
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.now() - self.start
    }

    pub(crate) fn record(&mut self, event: &Event) {
        let now = self.now();
        match event {
            Event::Opened(peer) => self.opened.push((peer.id(), now)),
            Event::Closed(closed) => self.closed.push(Closed {
                id: closed.peer.id(),
                at: now,
                reason: closed.reason,
                age: closed.age,
                bytes: (closed.peer.bytes_in(), closed.peer.bytes_out()),
            }),
            Event::Refused { peer, .. } => {
                assert!(self.refused.insert(peer.id()), "refused twice");
            }
            Event::Suppressed { refused, .. } => self.suppressed += refused,
            Event::Draining { connections, .. } => self.draining = *connections,
            _ => {}
        }
    }

    /// The number of refusals, reported one by one or as a count. None of them is of a connection
    /// in `known`.
    pub(crate) fn refusals(&self, known: &BTreeMap<u64, Known>) -> u64 {
        assert!(self.refused.iter().all(|id| !known.contains_key(id)));
        self.refused.len() as u64 + self.suppressed
    }
}

impl Known {
    pub(crate) fn new(behaviour: Behaviour, now: Duration) -> Self {
        Self {
            behaviour,
            opened: now,
            moved: now,
            bytes: (0, 0),
            closing: None,
            ended: None,
            window: match behaviour {
                Behaviour::Collect => Window::Silent,
                _ => Window::None,
            },
        }
    }

    /// Checks an open connection: no deadline of it has passed, and its figures are right. The last
    /// step began at `began`.
    pub(crate) fn is_open(
        &mut self,
        info: &ConnectionInfo,
        settings: &Settings,
        began: Duration,
        now: Duration,
    ) {
        assert_eq!(self.ended, None);
        self.see((info.bytes_in, info.bytes_out), settings, began, now);
        assert_eq!((info.age, info.idle), (now - self.opened, now - self.moved));
        if info.phase == Phase::Closing {
            let closing = *self.closing.get_or_insert(now);
            assert!(now - closing < LINGER, "it lingers");
            return;
        }
        assert_eq!(self.closing, None);
        let passed = |time, limit: Duration| !limit.is_zero() && time >= limit;
        assert!(!passed(info.idle, settings.idle), "it is idle");
        assert!(!passed(info.age, settings.lifetime), "it is old");
        assert!(!matches!(self.window, Window::Slow), "it is slow");
        if info.phase == Phase::Handshake {
            assert_eq!(self.behaviour, Behaviour::Shake);
            assert!(
                !passed(info.age, settings.handshake),
                "it still shakes hands"
            );
        }
    }

    /// Checks the end of a connection: there is one end, and its reason is possible.
    pub(crate) fn end(&mut self, closed: &Closed, settings: &Settings, began: Duration) {
        assert_eq!(self.ended.replace(closed.reason), None, "ended twice");
        self.see(closed.bytes, settings, began, closed.at);
        assert_eq!(closed.age, closed.at - self.opened);
        let passed = |time, limit: Duration| !limit.is_zero() && time >= limit;
        let behaviour = self.behaviour;
        let holds = match closed.reason {
            Reason::Eof | Reason::Drained => matches!(
                behaviour,
                Behaviour::Echo | Behaviour::Shake | Behaviour::Collect
            ),
            Reason::Handler => behaviour == Behaviour::Return,
            Reason::Panic => behaviour == Behaviour::Panic,
            Reason::Idle => passed(closed.at - self.moved, settings.idle),
            Reason::Lifetime => passed(closed.age, settings.lifetime.mul_f64(0.9)),
            Reason::Handshake => {
                behaviour == Behaviour::Shake && passed(closed.age, settings.handshake)
            }
            Reason::MinRate => matches!(self.window, Window::Slow),
            Reason::Error | Reason::Killed | Reason::Closed | Reason::Aborted => true,
            _ => false,
        };
        assert!(holds, "{behaviour:?} {}", closed.reason);
    }

    /// True if the peer receives an end of input, false for a reset. None if either is possible.
    pub(crate) fn ends_in_order(&self) -> Option<bool> {
        match self.ended? {
            Reason::Eof | Reason::Handler | Reason::Error | Reason::Drained => Some(true),
            Reason::Panic => Some(false),
            Reason::Killed | Reason::Aborted if self.closing.is_none() => Some(false),
            // The end may have been sent before; a deadline may have met a write.
            _ => None,
        }
    }

    /// Records the bytes so far. They moved when the last step began, or when the connection was
    /// accepted in its middle.
    fn see(&mut self, bytes: (u64, u64), settings: &Settings, began: Duration, now: Duration) {
        if bytes != self.bytes {
            (self.bytes, self.moved) = (bytes, began.max(self.opened));
        }
        if matches!(self.window, Window::Silent) && bytes.0 > 0 {
            self.window = Window::Since(self.moved, 0);
        }
        while let Window::Since(start, before) = self.window
            && now - start >= WINDOW
        {
            let received = bytes.0 - before;
            let slow = received > 0 && received < settings.min_rate * WINDOW.as_secs();
            self.window = if slow {
                Window::Slow
            } else {
                Window::Since(start + WINDOW, bytes.0)
            };
        }
    }
}
