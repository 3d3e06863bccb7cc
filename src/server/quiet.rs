//! Bounds how many refusals and errors of accept are reported one by one; the rest are counted.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use atomic_waker::AtomicWaker;

use super::event::Event;
use crate::time::{Clock, Stamp};

/// Reports of one kind in a second.
const MOST: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// The kind of a report.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Refused,
    AcceptFailed,
}

/// Counts reports by the second.
#[derive(Default)]
pub(super) struct Quiet {
    counts: Mutex<Counts>,
    /// The future that reports the rest, while there is none.
    idle: AtomicWaker,
}

#[derive(Default)]
struct Counts {
    /// The beginning of the second that is counted.
    second: Option<Stamp>,
    /// By [`Kind`].
    reported: [u32; 2],
    suppressed: [u64; 2],
}

impl Quiet {
    /// Whether a report is to be made now, and the rest of an earlier second, to be reported
    /// before it.
    pub(super) fn report(&self, kind: Kind, now: Stamp) -> (bool, Option<Event>) {
        let mut counts = self.counts();
        let rest = if counts.left(now).is_zero() {
            let rest = counts.take();
            counts.second = Some(now);
            counts.reported = [0; 2];
            rest
        } else {
            None
        };
        let kind = kind as usize;
        let report = counts.reported[kind] < MOST;
        if report {
            counts.reported[kind] += 1;
        } else {
            counts.suppressed[kind] += 1;
        }
        drop(counts);
        if !report {
            self.idle.wake();
        }
        (report, rest)
    }

    /// Waits until there is a rest, and its second has passed. For one future alone.
    pub(super) async fn rest(&self, clock: &Clock) -> Event {
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
            } else if let Some(rest) = self.take() {
                return rest;
            }
        }
    }

    /// The rest so far, at the end.
    pub(super) fn take(&self) -> Option<Event> {
        self.counts().take()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// How much of the second is left.
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
