//! The manual clock: it stands still until a test moves it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Moves a clock that [`Clock::manual`](crate::Clock::manual) has made.
///
/// Clones move the same clock.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let (clock, manual) = halves::Clock::manual();
/// assert!(!manual.advance_to_next(), "there is no sleep");
/// manual.advance(Duration::from_millis(5));
/// # let _ = clock;
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<ManualState>);

#[derive(Debug)]
pub(super) struct ManualState(Mutex<Sleepers>);

#[derive(Debug)]
struct Sleepers {
    start: Instant,
    now: Instant,
    /// The last number given to a sleep.
    last_number: u64,
    /// The wakers of pending sleeps by deadline, and by number if the deadline is the same.
    wakers: BTreeMap<(Instant, u64), Waker>,
}

/// A sleep on a manual clock.
pub(super) struct ManualSleep {
    state: Arc<ManualState>,
    deadline: Instant,
    /// Given at the first poll, with the deadline the key in `wakers`.
    number: Option<u64>,
}

impl ManualClock {
    pub(super) fn new() -> Self {
        let start = Instant::now();
        Self(Arc::new(ManualState(Mutex::new(Sleepers {
            start,
            now: start,
            last_number: 0,
            wakers: BTreeMap::new(),
        }))))
    }

    pub(super) fn state(&self) -> Arc<ManualState> {
        self.0.clone()
    }

    /// Moves the clock forward, and wakes every sleep with a deadline that has passed.
    ///
    /// # Panics
    ///
    /// If the clock would pass the last instant that the system can express.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (_, manual) = halves::Clock::manual();
    /// manual.advance(Duration::from_secs(1));
    /// ```
    pub fn advance(&self, duration: Duration) {
        let due = {
            let mut sleepers = self.0.lock();
            sleepers.now += duration;
            sleepers.take_due()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// Moves the clock to the earliest deadline of a pending sleep, and wakes all sleeps with that
    /// deadline. Returns false, and leaves the clock, if no sleep is pending. A sleep is pending
    /// from its first poll on.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future;
    /// use std::time::Duration;
    ///
    /// let (clock, manual) = halves::Clock::manual();
    /// let mut sleep = clock.sleep(Duration::from_secs(9));
    /// future::block_on(async {
    ///     assert!(future::poll_once(&mut sleep).await.is_none());
    ///     assert!(manual.advance_to_next());
    ///     sleep.await;
    /// });
    /// ```
    #[must_use = "false means that no sleep is pending"]
    pub fn advance_to_next(&self) -> bool {
        let due = {
            let mut sleepers = self.0.lock();
            let Some((&(deadline, _), _)) = sleepers.wakers.first_key_value() else {
                return false;
            };
            sleepers.now = sleepers.now.max(deadline);
            sleepers.take_due()
        };
        due.into_iter().for_each(Waker::wake);
        true
    }
}

impl ManualState {
    pub(super) fn now(&self) -> Instant {
        self.lock().now
    }

    /// The total time by which the clock has been moved.
    pub(super) fn elapsed(&self) -> Duration {
        let sleepers = self.lock();
        sleepers.now - sleepers.start
    }

    fn lock(&self) -> MutexGuard<'_, Sleepers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sleepers {
    /// Removes the wakers of the sleeps that are over. They are woken and dropped after the lock is
    /// released: either may end a task, and drop another sleep of this clock.
    fn take_due(&mut self) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(entry) = self.wakers.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            due.push(entry.remove());
        }
        due
    }
}

impl ManualSleep {
    pub(super) fn new(state: &Arc<ManualState>, deadline: Instant) -> Self {
        Self {
            state: state.clone(),
            deadline,
            number: None,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut sleepers = self.state.lock();
        if sleepers.now >= self.deadline {
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            sleepers.last_number += 1;
            sleepers.last_number
        });
        let before = sleepers
            .wakers
            .insert((self.deadline, number), cx.waker().clone());
        drop(sleepers);
        drop(before);
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waker = self.state.lock().wakers.remove(&(self.deadline, number));
            drop(waker);
        }
    }
}
