//! Time as a value: the only module that reads a clock or sleeps.

mod foreign;
mod manual;
#[cfg(all(target_os = "linux", not(halves_portable)))]
mod native;
#[cfg(not(all(target_os = "linux", not(halves_portable))))]
mod portable;
mod stamp;
#[cfg(feature = "tokio")]
mod tokio;
mod turns;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use manual::ManualClock;
#[cfg(all(target_os = "linux", not(halves_portable)))]
use native::Timer;
#[cfg(not(all(target_os = "linux", not(halves_portable))))]
use portable::Timer;
pub(crate) use stamp::{AtomicStamp, Stamp};
pub(crate) use turns::Turns;

/// Where a server takes its time from.
///
/// The default is the machine's monotonic clock. [`Clock::manual`] gives one that stands still
/// until a test moves it, so that an hour of waiting is tested in a microsecond.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let (clock, manual) = halves::Clock::manual();
/// let before = clock.now();
/// manual.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now() - before, Duration::from_secs(3600));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

/// A future that is ready at an instant; made by [`Clock::sleep`] and [`Clock::sleep_until`].
///
/// Dropping it forgets the wake-up; nothing else is lost, so it may be cancelled at any time. It is
/// never over too early, and a millisecond late when its thread has nothing else to do. What is
/// over stays so, however often it is polled.
///
/// On the machine's clock, where an [`Executor`] of ours on Linux runs the task, it costs a system call only
/// if it comes before all others of its thread. It goes on wherever else it is polled. As with sockets, another runtime's
/// blocking wait in such a task may not wait for it, see [`Executor::block_on`].
///
/// # Panics
///
/// With the feature `tokio`, a poll in a tokio runtime without `enable_time`, or in one that has ended,
/// before the sleep is over.
///
/// [`Executor`]: crate::Executor
/// [`Executor::block_on`]: crate::Executor::block_on
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let clock = halves::Clock::default();
/// smol::block_on(clock.sleep(Duration::from_millis(1)));
/// ```
#[must_use = "a sleep does nothing until it is polled"]
pub struct Sleep(Sleeper);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    Machine,
    ManualClock(Arc<manual::State>),
}

enum Sleeper {
    Machine(Timer),
    /// Boxed: only tests sleep so.
    ManualClock(Box<manual::Entry>),
    /// Until a time that no clock can hold.
    Never,
    Over,
}

impl Clock {
    /// A clock that a test moves by hand, and the hand that moves it.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future;
    /// use std::time::Duration;
    ///
    /// let (clock, manual) = halves::Clock::manual();
    /// let mut nap = clock.sleep(Duration::from_secs(60));
    /// future::block_on(async {
    ///     assert!(future::poll_once(&mut nap).await.is_none());
    ///     manual.advance(Duration::from_secs(60));
    ///     nap.await;
    /// });
    /// ```
    #[must_use]
    pub fn manual() -> (Self, ManualClock) {
        let manual = ManualClock::new();
        (Self(Source::ManualClock(manual.state())), manual)
    }

    /// The instant that this clock shows.
    ///
    /// # Examples
    ///
    /// ```
    /// let clock = halves::Clock::default();
    /// assert!(clock.now() <= clock.now());
    /// ```
    #[must_use]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Source::Machine => now(),
            Source::ManualClock(state) => state.now(),
        }
    }

    /// The same, coarsely and cheaply; only differences of stamps of one clock mean anything.
    pub(crate) fn stamp(&self) -> Stamp {
        match &self.0 {
            Source::Machine => Stamp::coarse(),
            Source::ManualClock(state) => Stamp::after(state.elapsed()),
        }
    }

    /// The same, but the machine's clock as it was when this thread's turn began, if it has turns:
    /// a task that runs long does not see it move.
    #[inline(always)]
    pub(crate) fn turn_stamp(&self) -> Stamp {
        match &self.0 {
            Source::Machine => Turns::stamp(),
            Source::ManualClock(_) => self.stamp(),
        }
    }

    /// As [`stamp`](Self::stamp), and not behind a sleep that is over.
    pub(crate) fn exact_stamp(&self) -> Stamp {
        match &self.0 {
            Source::Machine => Stamp::exact(),
            Source::ManualClock(_) => self.stamp(),
        }
    }

    /// Sleeps until `deadline`; ready at once when it is not in the future.
    ///
    /// # Examples
    ///
    /// ```
    /// let clock = halves::Clock::default();
    /// smol::block_on(clock.sleep_until(clock.now()));
    /// ```
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep(match &self.0 {
            Source::Machine => Sleeper::Machine(Timer::at(deadline)),
            Source::ManualClock(state) => {
                let entry = manual::Entry::new(state, deadline);
                Sleeper::ManualClock(Box::new(entry))
            }
        })
    }

    /// Sleeps for `duration`. One too long for the clock to hold never ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future;
    /// use std::time::Duration;
    ///
    /// let mut nap = halves::Clock::default().sleep(Duration::MAX);
    /// assert!(smol::block_on(future::poll_once(&mut nap)).is_none());
    /// ```
    pub fn sleep(&self, duration: Duration) -> Sleep {
        match self.now().checked_add(duration) {
            Some(deadline) => self.sleep_until(deadline),
            None => Sleep(Sleeper::Never),
        }
    }

    /// What `future` comes to, unless that takes longer than `duration`: it is dropped then. (asyncio's
    /// `wait_for`.) What is ready when the time is over is still in time.
    ///
    /// Cancel-safe where `future` is.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Clock;
    /// use halves::listener::memory;
    /// use std::{io::ErrorKind, time::Duration};
    ///
    /// # smol::block_on(async {
    /// let (mut near, _far) = memory::pair(64);
    /// let wait = Duration::from_millis(1);
    /// let line = Clock::default().timeout(wait, near.reader.line()).await;
    /// assert_eq!(line.unwrap_err().kind(), ErrorKind::TimedOut);
    /// # });
    /// ```
    pub async fn timeout<T>(
        &self,
        duration: Duration,
        future: impl Future<Output = T>,
    ) -> io::Result<T> {
        let mut future = pin!(future);
        let mut nap = self.sleep(duration);
        let mut tried = false;
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            ready!(Pin::new(&mut nap).poll(cx));
            if tried {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // What came in time may not have been told yet: others have their turn first.
            tried = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").finish_non_exhaustive()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let polled = match &mut self.0 {
            Sleeper::Machine(timer) => Pin::new(timer).poll(cx),
            Sleeper::ManualClock(entry) => entry.poll(cx),
            Sleeper::Never => Poll::Pending,
            Sleeper::Over => Poll::Ready(()),
        };
        if polled.is_ready() {
            // A timer of async-io is ready once only.
            self.0 = Sleeper::Over;
        }
        polled
    }
}

/// The machine's monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Parks this thread until it is unparked, no longer than this.
#[cfg(all(target_os = "linux", not(halves_portable)))]
pub(crate) fn park(longest: Duration) {
    std::thread::park_timeout(longest);
}

/// Time since 1970-01-01 UTC, for stamping log lines.
///
/// # Examples
///
/// ```
/// assert!(halves::time::unix_time().as_secs() > 1_600_000_000);
/// ```
#[must_use]
pub fn unix_time() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
