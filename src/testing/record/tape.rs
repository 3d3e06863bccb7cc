//! Writes the record of one connection while it runs.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::line::{push_data, push_event, push_header};
use super::{RecordEvent, Recorded};
use crate::connection::{Endpoint, Peer};
use crate::time::Clock;

/// The shortest limit of a record, in bytes of its text. The header and one event have room in it.
pub(super) const MIN_LIMIT_BYTES: usize = 1024;
/// Kept free for the line that says that the record is cut.
const RESERVED_BYTES: usize = 40;
/// The longest address in a header, in bytes: as long as that of a Unix socket can be. Longer paths of
/// devices are cut.
const MAX_ADDRESS_BYTES: usize = 112;

/// Takes the text of a record, some whole lines a call.
pub(super) type Sink = Box<dyn FnMut(String) + Send>;

/// The record of a connection, shared by its halves. It is written as the halves return.
pub(super) struct Tape(Mutex<State>);

/// A direction, from the side of the server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    In,
    Out,
}

struct State {
    clock: Clock,
    began: Instant,
    /// The text that is not passed to `sink` yet: all of it without one.
    text: String,
    /// The size of the whole text, in bytes.
    length: usize,
    limit: usize,
    sink: Option<Sink>,
    /// True if the last event of the direction is its end.
    has_ended: [bool; 2],
    /// True if the last event is a failure.
    has_failed: bool,
    /// The halves that are not dropped.
    halves: u8,
    /// True behind the last event.
    is_over: bool,
}

impl Tape {
    /// Begins the record of a connection that has two halves.
    pub(super) fn new(peer: &Peer, clock: Clock, limit: usize, sink: Option<Sink>) -> Arc<Self> {
        let mut text = String::new();
        let [client, server] = [peer.endpoint(), peer.local()].map(|end| address(&end));
        push_header(&mut text, &client, &server, clock.wall_time());
        let mut state = State {
            began: clock.now(),
            clock,
            text,
            length: 0,
            limit: limit.max(MIN_LIMIT_BYTES),
            sink,
            has_ended: [false; 2],
            has_failed: false,
            halves: 2,
            is_over: false,
        };
        state.pass_on(0);
        Arc::new(Self(Mutex::new(state)))
    }

    /// Records bytes that have passed.
    pub(super) fn data(&self, way: Way, data: &[u8]) {
        let mut state = self.lock();
        if data.is_empty() || state.is_over {
            return;
        }
        state.has_ended[way as usize] = false;
        state.has_failed = false;
        let (at, before) = (state.now(), state.text.len());
        let most = before + state.room();
        let word = match way {
            Way::In => "in",
            Way::Out => "out",
        };
        let pushed = push_data(&mut state.text, at, word, data, most);
        if pushed < data.len() {
            state.cut(at);
        }
        state.pass_on(before);
    }

    /// Records the end of a direction, once.
    pub(super) fn end(&self, way: Way) {
        let mut state = self.lock();
        if !mem::replace(&mut state.has_ended[way as usize], true) {
            state.event(match way {
                Way::In => Recorded::InEnd,
                Way::Out => Recorded::OutEnd,
            });
        }
    }

    /// Records a failure, once until bytes pass again.
    pub(super) fn fail(&self) {
        let mut state = self.lock();
        if !mem::replace(&mut state.has_failed, true) {
            state.event(Recorded::Reset);
        }
    }

    /// Called when a half is dropped.
    pub(super) fn drop_half(&self) {
        let mut state = self.lock();
        state.halves = state.halves.saturating_sub(1);
        if state.halves == 0 {
            state.event(Recorded::Closed);
        }
    }

    /// Returns the text so far.
    pub(super) fn text(&self) -> String {
        self.lock().text.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The time of an event now.
    fn now(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.began)
    }

    /// The bytes that an event may take.
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.length + RESERVED_BYTES)
    }

    fn event(&mut self, what: Recorded) {
        if self.is_over {
            return;
        }
        let (at, before) = (self.now(), self.text.len());
        self.is_over = what == Recorded::Closed;
        push_event(&mut self.text, &RecordEvent::new(at, what));
        if self.text.len() - before > self.room() {
            self.text.truncate(before);
            self.cut(at);
        }
        self.pass_on(before);
    }

    fn cut(&mut self, at: Duration) {
        let cut = RecordEvent::new(at, Recorded::Cut("limit".to_owned()));
        push_event(&mut self.text, &cut);
        self.is_over = true;
    }

    /// Counts the text from `before` on, and passes it to the sink.
    fn pass_on(&mut self, before: usize) {
        self.length += self.text.len() - before;
        if let Some(sink) = &mut self.sink {
            sink(mem::take(&mut self.text));
        }
        if self.is_over {
            self.sink = None;
        }
    }
}

/// The text of an address, empty if it is not known.
fn address(end: &Endpoint) -> String {
    if *end == Endpoint::Unknown {
        return String::new();
    }
    let mut text = end.to_string();
    text.truncate(text.floor_char_boundary(MAX_ADDRESS_BYTES));
    text
}
