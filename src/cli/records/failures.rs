//! Reports of records that are not whole.

use std::fmt;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use halves::Clock;

use crate::cli::format::Line;
use crate::cli::log::{Level, Lines};

/// The least time between two lines. A full disk fails every connection.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// Counts the records that are cut, and logs a line at once, then one a minute.
pub(super) struct Failures {
    lines: Lines,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    unreported: u64,
    last_error: String,
    reported: Option<Instant>,
}

impl Failures {
    pub(super) fn new(lines: Lines, clock: Clock) -> Self {
        let state = Mutex::default();
        Self {
            lines,
            clock,
            state,
        }
    }

    /// Counts records that failed for the same cause.
    pub(super) fn add(&self, count: u64, error: &dyn fmt::Display) {
        let mut state = self.lock();
        state.unreported += count;
        state.last_error = error.to_string();
        let now = self.clock.now();
        if state
            .reported
            .is_none_or(|last| now >= last + REPORT_INTERVAL)
        {
            state.reported = Some(now);
            self.report(&mut state);
        }
    }

    /// Logs what is not logged yet.
    pub(super) fn report_rest(&self) {
        self.report(&mut self.lock());
    }

    #[cfg(test)]
    pub(super) fn unreported(&self) -> u64 {
        self.lock().unreported
    }

    fn report(&self, state: &mut State) {
        if state.unreported == 0 {
            return;
        }
        let line = Line::new("records_cut")
            .number("count", mem::take(&mut state.unreported))
            .text("error", &state.last_error);
        self.lines.write(Level::Quiet, &line);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
