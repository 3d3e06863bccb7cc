//! Limits the events of refusals and accept errors to ten per second; counts the others.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use atomic_waker::AtomicWaker;

use super::event::Event;
use crate::time::{Clock, Stamp};

/// The maximum of events of one kind per second.
const MAX_EVENTS_PER_SECOND: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// A kind of event that is limited.
#[derive(Clone, Copy, Debug)]
pub(super) enum LimitedEvent {
    Refused,
    AcceptFailed,
}

/// Counts events by the second.
#[derive(Default)]
pub(super) struct EventLimiter {
    counts: Mutex<Counts>,
    /// The waker of the task in [`next_suppressed`](Self::next_suppressed).
    idle: AtomicWaker,
}

#[derive(Default)]
struct Counts {
    /// The start of the current second.
    second: Option<Stamp>,
    /// By [`LimitedEvent`].
    emitted: [u32; 2],
    suppressed: [u64; 2],
}

impl EventLimiter {
    /// Counts an event. Returns true if it is to be emitted, and the suppressed events of an
    /// earlier second, which are to be emitted before it.
    pub(super) fn count(&self, kind: LimitedEvent, now: Stamp) -> (bool, Option<Event>) {
        let mut counts = self.counts();
        let suppressed = if counts.left(now).is_zero() {
            let suppressed = counts.take();
            counts.second = Some(now);
            counts.emitted = [0; 2];
            suppressed
        } else {
            None
        };
        let kind = kind as usize;
        let emit = counts.emitted[kind] < MAX_EVENTS_PER_SECOND;
        if emit {
            counts.emitted[kind] += 1;
        } else {
            counts.suppressed[kind] += 1;
        }
        drop(counts);
        if !emit {
            self.idle.wake();
        }
        (emit, suppressed)
    }

    /// Waits until events were suppressed and their second has passed. Only one task may call it at
    /// a time.
    pub(super) async fn next_suppressed(&self, clock: &Clock) -> Event {
        loop {
            let left = poll_fn(|cx| {
                self.idle.register(cx.waker());
                let counts = self.counts();
                if counts.suppressed == [0; 2] {
                    return Poll::Pending;
                }
                Poll::Ready(counts.left(clock.stamp()))
            });
            let left = left.await;
            if !left.is_zero() {
                clock.sleep(left).await;
            } else if let Some(suppressed) = self.take() {
                return suppressed;
            }
        }
    }

    /// Takes the count of the events suppressed so far, for the end of the server.
    pub(super) fn take(&self) -> Option<Event> {
        self.counts().take()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Returns the rest of the current second.
    fn left(&self, now: Stamp) -> Duration {
        let second = self.second;
        second.map_or(Duration::ZERO, |begin| {
            SECOND.saturating_sub(now.since(begin))
        })
    }

    fn take(&mut self) -> Option<Event> {
        let [refused, accept_failed] = std::mem::take(&mut self.suppressed);
        (refused + accept_failed > 0).then_some(Event::Suppressed {
            refused,
            accept_failed,
        })
    }
}
