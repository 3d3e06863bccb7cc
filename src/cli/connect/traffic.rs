//! The bytes of a connection so far, and their times.

use std::cell::Cell;
use std::time::{Duration, Instant};

use halves::Clock;

/// Counts the bytes in both directions.
#[derive(Debug)]
pub(super) struct Traffic {
    clock: Clock,
    begin: Instant,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    /// The time of the first byte from the peer.
    first_byte: Cell<Option<Instant>>,
    /// The time of the last byte in either direction, or of the connection.
    last_byte: Cell<Instant>,
}

impl Traffic {
    pub(super) fn new(clock: Clock) -> Self {
        let begin = clock.now();
        Self {
            clock,
            begin,
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            first_byte: Cell::new(None),
            last_byte: Cell::new(begin),
        }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Counts bytes from the peer.
    pub(super) fn received(&self, bytes: usize) {
        self.touch();
        self.bytes_in.set(self.bytes_in.get() + bytes as u64);
        if self.first_byte.get().is_none() {
            self.first_byte.set(Some(self.last_byte.get()));
        }
    }

    /// Counts bytes to the peer.
    pub(super) fn sent(&self, bytes: usize) {
        self.touch();
        self.bytes_out.set(self.bytes_out.get() + bytes as u64);
    }

    /// Begins a new time without bytes.
    pub(super) fn touch(&self) {
        self.last_byte.set(self.clock.now());
    }

    pub(super) fn bytes_in(&self) -> u64 {
        self.bytes_in.get()
    }

    pub(super) fn bytes_out(&self) -> u64 {
        self.bytes_out.get()
    }

    /// Returns the time from the start to the first byte from the peer.
    pub(super) fn first_byte(&self) -> Option<Duration> {
        self.first_byte.get().map(|at| at - self.begin)
    }

    /// Returns the time since the start.
    pub(super) fn age(&self) -> Duration {
        self.clock.now() - self.begin
    }

    /// Waits until no byte has come or gone for this time.
    pub(super) async fn idle(&self, timeout: Duration) {
        while let Some(deadline) = self.last_byte.get().checked_add(timeout) {
            if self.clock.now() >= deadline {
                return;
            }
            self.clock.sleep_until(deadline).await;
        }
        std::future::pending::<()>().await;
    }

    pub(super) async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn each_byte_begins_a_new_idle_time() {
        let (clock, manual) = Clock::manual();
        let traffic = Traffic::new(clock);
        let mut idle = Box::pin(traffic.idle(10 * MS));
        let mut is_over = || block_on(poll_once(idle.as_mut())).is_some();
        assert!(!is_over());
        manual.advance(9 * MS);
        traffic.received(1);
        manual.advance(9 * MS);
        assert!(!is_over());
        traffic.sent(1);
        manual.advance(9 * MS);
        assert!(!is_over());
        manual.advance(MS);
        assert!(is_over());
    }

    #[test]
    fn bytes_are_counted_and_the_first_has_a_time() {
        let (clock, manual) = Clock::manual();
        let traffic = Traffic::new(clock);
        manual.advance(2 * MS);
        traffic.sent(5);
        assert_eq!(traffic.first_byte(), None);
        manual.advance(2 * MS);
        traffic.received(3);
        manual.advance(2 * MS);
        traffic.received(4);
        assert_eq!(traffic.first_byte(), Some(4 * MS));
        assert_eq!((traffic.bytes_in(), traffic.bytes_out()), (7, 5));
        assert_eq!(traffic.age(), 6 * MS);
    }
}
