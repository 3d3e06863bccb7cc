//! Clocks, sleeps and timeouts. No other module reads a clock or sleeps.

mod asleep;
mod manual;
mod runtime;
mod stamp;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) use asleep::take_asleep;
pub use manual::ManualClock;
use manual::{ManualSleep, ManualState};
use runtime::Timer;
pub(crate) use stamp::{AtomicStamp, Stamp, TurnClock};

/// The source of time of a server: reads the time and makes sleeps and timeouts.
///
/// The default is the system's monotonic clock. [`Clock::manual`] makes a clock that stands still
/// until a test moves it, so that a test of an hour's timeout takes microseconds.
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
pub struct Clock(ClockSource);

/// A future that is ready at an instant, made by [`Clock::sleep`] and [`Clock::sleep_until`].
///
/// A sleep never ends early. It may end up to 1 ms late if its thread is otherwise idle. After its
/// end, every poll is ready.
///
/// It is cancel safe: a drop only cancels the wake-up.
///
/// In a task of this crate's [`Executor`] on Linux, a sleep on the system clock costs a system call
/// only if it ends before all other sleeps of its thread. A sleep may be polled on any thread and
/// in any runtime, and may move between them. As with sockets, do not wait for it with another
/// runtime's blocking call inside such a task: see [`Executor::block_on`].
///
/// # Panics
///
/// With the feature `tokio`, if it is polled before its end in a tokio runtime without
/// `enable_time`, or in a tokio runtime that has ended.
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
pub struct Sleep(SleepKind);

#[derive(Clone, Debug, Default)]
enum ClockSource {
    #[default]
    System,
    Manual(Arc<ManualState>),
}

enum SleepKind {
    System(Timer),
    /// Boxed, because only tests use it.
    Manual(Box<ManualSleep>),
    /// The deadline is later than a clock can express.
    Endless,
    Over,
}

impl Clock {
    /// Makes a clock that stands still, and the handle that moves it.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future;
    /// use std::time::Duration;
    ///
    /// let (clock, manual) = halves::Clock::manual();
    /// let mut sleep = clock.sleep(Duration::from_secs(60));
    /// future::block_on(async {
    ///     assert!(future::poll_once(&mut sleep).await.is_none());
    ///     manual.advance(Duration::from_secs(60));
    ///     sleep.await;
    /// });
    /// ```
    #[must_use]
    pub fn manual() -> (Self, ManualClock) {
        let manual = ManualClock::new();
        (Self(ClockSource::Manual(manual.state())), manual)
    }

    /// The current time of this clock.
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
            ClockSource::System => now(),
            ClockSource::Manual(state) => state.now(),
        }
    }

    /// The date, in UTC. A manual clock has none.
    #[cfg(feature = "testing")]
    pub(crate) fn wall_time(&self) -> Option<SystemTime> {
        match &self.0 {
            ClockSource::System => Some(SystemTime::now()),
            ClockSource::Manual(_) => None,
        }
    }

    /// The current time, cheap and coarse. Only differences of stamps of one clock have a meaning.
    pub(crate) fn stamp(&self) -> Stamp {
        match &self.0 {
            ClockSource::System => Stamp::coarse(),
            ClockSource::Manual(state) => Stamp::after_origin(state.elapsed()),
        }
    }

    /// As [`stamp`](Self::stamp), but reads the system clock only once per turn of this thread's
    /// loop: it stands still while a task runs.
    #[inline(always)]
    pub(crate) fn turn_stamp(&self) -> Stamp {
        match &self.0 {
            ClockSource::System => TurnClock::stamp(),
            ClockSource::Manual(_) => self.stamp(),
        }
    }

    /// As [`stamp`](Self::stamp), but exact: never before the deadline of a sleep that is over.
    pub(crate) fn exact_stamp(&self) -> Stamp {
        match &self.0 {
            ClockSource::System => Stamp::exact(),
            ClockSource::Manual(_) => self.stamp(),
        }
    }

    /// Sleeps until `deadline`. The sleep is over at its first poll if the deadline has passed.
    ///
    /// # Examples
    ///
    /// ```
    /// let clock = halves::Clock::default();
    /// smol::block_on(clock.sleep_until(clock.now()));
    /// ```
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep(match &self.0 {
            ClockSource::System => SleepKind::System(Timer::at(deadline)),
            ClockSource::Manual(state) => {
                let entry = ManualSleep::new(state, deadline);
                SleepKind::Manual(Box::new(entry))
            }
        })
    }

    /// Sleeps for `duration`. The sleep never ends if its deadline is later than the clock can
    /// express.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::future;
    /// use std::time::Duration;
    ///
    /// let mut sleep = halves::Clock::default().sleep(Duration::MAX);
    /// assert!(smol::block_on(future::poll_once(&mut sleep)).is_none());
    /// ```
    pub fn sleep(&self, duration: Duration) -> Sleep {
        match self.now().checked_add(duration) {
            Some(deadline) => self.sleep_until(deadline),
            None => Sleep(SleepKind::Endless),
        }
    }

    /// Waits for `future` for at most `duration`, and drops it then, as asyncio's `wait_for` does.
    /// A future that is ready when the time is over is still in time.
    ///
    /// Cancel safe if `future` is.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) if the future is not ready in time.
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
        let mut sleep = self.sleep(duration);
        let mut is_last_poll = false;
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            ready!(Pin::new(&mut sleep).poll(cx));
            if is_last_poll {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // An event before the deadline may not be reported yet: polls once more, after other
            // tasks.
            is_last_poll = true;
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
            SleepKind::System(timer) => Pin::new(timer).poll(cx),
            SleepKind::Manual(entry) => entry.poll(cx),
            SleepKind::Endless => Poll::Pending,
            SleepKind::Over => Poll::Ready(()),
        };
        if polled.is_ready() {
            // A timer of async-io is ready only once.
            self.0 = SleepKind::Over;
            asleep::wake_up();
        } else {
            asleep::fall_asleep(cx.waker());
        }
        polled
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        asleep::wake_up();
    }
}

/// The system's monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Parks this thread until it is unparked, or until the timeout.
#[cfg(all(target_os = "linux", not(halves_portable)))]
pub(crate) fn park(timeout: Duration) {
    std::thread::park_timeout(timeout);
}

/// The time since 1970-01-01 UTC, for the stamps of log lines. Zero if the system clock is earlier.
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
