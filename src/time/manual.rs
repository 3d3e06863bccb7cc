//! The clock that stands still until a test moves it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Moves the clock that [`Clock::manual`](crate::Clock::manual) returned with it.
///
/// Clones move the same clock.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let (clock, manual) = halves::Clock::manual();
/// assert!(!manual.advance_to_next(), "nobody sleeps");
/// manual.advance(Duration::from_millis(5));
/// # let _ = clock;
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<State>);

#[derive(Debug)]
pub(super) struct State(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    start: Instant,
    now: Instant,
    /// Tells sleepers with the same deadline apart, in the order of their first poll.
    next: u64,
    sleepers: BTreeMap<(Instant, u64), Waker>,
}

/// One sleeper of a manual clock.
pub(super) struct Entry {
    state: Arc<State>,
    deadline: Instant,
    /// Our key in `sleepers`, once we have been polled.
    ticket: Option<u64>,
}

impl ManualClock {
    pub(super) fn new() -> Self {
        let start = Instant::now();
        Self(Arc::new(State(Mutex::new(Inner {
            start,
            now: start,
            next: 0,
            sleepers: BTreeMap::new(),
        }))))
    }

    pub(super) fn state(&self) -> Arc<State> {
        self.0.clone()
    }

    /// Moves the clock forward and wakes every sleeper whose deadline has come.
    ///
    /// # Panics
    ///
    /// When the clock would pass the last instant that the system can express.
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
            let mut inner = self.0.lock();
            inner.now += duration;
            inner.due()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// Moves the clock to the earliest deadline that somebody sleeps for, and wakes those who do.
    /// Returns false, and moves nothing, when nobody sleeps.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future;
    /// use std::time::Duration;
    ///
    /// let (clock, manual) = halves::Clock::manual();
    /// let mut nap = clock.sleep(Duration::from_secs(9));
    /// future::block_on(async {
    ///     assert!(future::poll_once(&mut nap).await.is_none());
    ///     assert!(manual.advance_to_next());
    ///     nap.await;
    /// });
    /// ```
    #[must_use = "false says that nobody sleeps"]
    pub fn advance_to_next(&self) -> bool {
        let due = {
            let mut inner = self.0.lock();
            let Some((&(deadline, _), _)) = inner.sleepers.first_key_value() else {
                return false;
            };
            inner.now = inner.now.max(deadline);
            inner.due()
        };
        due.into_iter().for_each(Waker::wake);
        true
    }
}

impl State {
    pub(super) fn now(&self) -> Instant {
        self.lock().now
    }

    /// How far the clock has been moved.
    pub(super) fn elapsed(&self) -> Duration {
        let inner = self.lock();
        inner.now - inner.start
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Takes out the sleepers whose time has come. They are woken, and their wakers dropped, after
    /// the lock is released: either may end a task, and with it another sleeper of this clock.
    fn due(&mut self) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(entry) = self.sleepers.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            due.push(entry.remove());
        }
        due
    }
}

impl Entry {
    pub(super) fn new(state: &Arc<State>, deadline: Instant) -> Self {
        Self {
            state: state.clone(),
            deadline,
            ticket: None,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.state.lock();
        if inner.now >= self.deadline {
            return Poll::Ready(());
        }
        let ticket = *self.ticket.get_or_insert_with(|| {
            inner.next += 1;
            inner.next
        });
        let before = inner
            .sleepers
            .insert((self.deadline, ticket), cx.waker().clone());
        drop(inner);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let waker = self.state.lock().sleepers.remove(&(self.deadline, ticket));
            drop(waker);
        }
    }
}
