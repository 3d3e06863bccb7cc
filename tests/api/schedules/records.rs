//! What the model knows of every connection, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use halves::connection::Phase;
use halves::server::ConnectionInfo;
use halves::{Event, Reason};

use crate::schedules::handlers::Behaviour;
use crate::schedules::settings::Settings;

/// How long an ended connection may wait for its peer's end.
const LINGER: Duration = Duration::from_secs(2);
/// The time over which a minimum rate is an average.
const WINDOW: Duration = Duration::from_secs(5);

/// What the server has said.
#[derive(Default)]
pub(crate) struct Heard {
    /// Those since the last look.
    pub(crate) opened: Vec<u64>,
    pub(crate) closed: Vec<Closed>,
    refused: BTreeSet<u64>,
    suppressed: u64,
    /// How many were open when the drain began.
    pub(crate) draining: usize,
}

/// One connection that has ended.
pub(crate) struct Closed {
    pub(crate) id: u64,
    reason: Reason,
    age: Duration,
    bytes: (u64, u64),
}

/// One connection that a handler was to have.
pub(crate) struct Known {
    behaviour: Behaviour,
    opened: Duration,
    /// When a byte last moved.
    moved: Duration,
    /// In and out.
    pub(crate) bytes: (u64, u64),
    /// Since when its stream is being closed.
    closing: Option<Duration>,
    pub(crate) ended: Option<Reason>,
    window: Window,
}

/// The rate of a peer. What it sends is answered at once, and no time counts, but by a handler that
/// collects, where all does from the first byte on.
enum Window {
    None,
    Silent,
    Since(Duration, u64),
    Slow,
}

impl Heard {
    pub(crate) fn hear(&mut self, event: &Event) {
        match event {
            Event::Opened(peer) => self.opened.push(peer.id()),
            Event::Closed(closed) => self.closed.push(Closed {
                id: closed.peer.id(),
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

    /// Refusals that were reported, one by one or as a count; none is of a connection in `known`.
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

    /// It is open: then no deadline of it has passed, and what is said of it is true.
    pub(crate) fn is_open(&mut self, info: &ConnectionInfo, settings: &Settings, now: Duration) {
        assert_eq!(self.ended, None);
        self.see((info.bytes_in, info.bytes_out), settings, now);
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

    /// It has ended: once, and for a reason that holds.
    pub(crate) fn end(&mut self, closed: &Closed, settings: &Settings, now: Duration) {
        assert_eq!(self.ended.replace(closed.reason), None, "ended twice");
        self.see(closed.bytes, settings, now);
        assert_eq!(closed.age, now - self.opened);
        let passed = |time, limit: Duration| !limit.is_zero() && time >= limit;
        let behaviour = self.behaviour;
        let holds = match closed.reason {
            Reason::Eof | Reason::Drained => matches!(
                behaviour,
                Behaviour::Echo | Behaviour::Shake | Behaviour::Collect
            ),
            Reason::Handler => behaviour == Behaviour::Return,
            Reason::Panic => behaviour == Behaviour::Panic,
            Reason::Idle => passed(now - self.moved, settings.idle),
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

    /// Whether its peer is told the end of input, and not of a reset; none, when that depends.
    pub(crate) fn ends_in_order(&self) -> Option<bool> {
        match self.ended? {
            Reason::Eof | Reason::Handler | Reason::Error | Reason::Drained => Some(true),
            Reason::Panic => Some(false),
            Reason::Killed | Reason::Aborted if self.closing.is_none() => Some(false),
            // The end may have been told before; a deadline may have met a write.
            _ => None,
        }
    }

    fn see(&mut self, bytes: (u64, u64), settings: &Settings, now: Duration) {
        if bytes != self.bytes {
            (self.bytes, self.moved) = (bytes, now);
        }
        match self.window {
            Window::Silent if bytes.0 > 0 => self.window = Window::Since(now, 0),
            Window::Since(start, before) if now - start >= WINDOW => {
                let received = bytes.0 - before;
                let slow = received > 0 && received < settings.min_rate * WINDOW.as_secs();
                self.window = if slow {
                    Window::Slow
                } else {
                    Window::Since(now, bytes.0)
                };
            }
            _ => {}
        }
    }
}
