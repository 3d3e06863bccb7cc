//! Sleeps on the system clock: with this crate's reactor on its threads, with tokio's timers in its
//! tasks, and with async-io's everywhere else.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

#[cfg(feature = "tokio")]
use tokio_sleep::TokioSleep;

use crate::reactor::Alarm;

/// A sleep on the system clock.
pub(super) enum Timer {
    /// Not polled yet, or last polled on a thread that drives a reactor of this crate.
    Reactor(Alarm),
    /// Last polled on another thread.
    Runtime(RuntimeTimer),
}

/// A sleep on the timer of another runtime. Boxed, because most sleeps use this crate's reactor.
pub(super) enum RuntimeTimer {
    AsyncIo(Box<smol::Timer>),
    #[cfg(feature = "tokio")]
    Tokio(Pin<Box<TokioSleep>>),
}

/// The error of a poll outside the runtime of the sleep. The caller sleeps with the runtime of this
/// thread instead.
pub(super) struct WrongRuntime {
    #[cfg_attr(
        not(feature = "tokio"),
        allow(dead_code, reason = "a timer of async-io works on every thread")
    )]
    pub(super) deadline: Instant,
}

impl Timer {
    pub(super) fn at(deadline: Instant) -> Self {
        Self::Reactor(Alarm::new(deadline))
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut *self {
                Self::Reactor(alarm) => {
                    if let Some(polled) = alarm.poll(cx, super::now) {
                        return polled;
                    }
                    *self = Self::Runtime(RuntimeTimer::at(alarm.deadline()));
                }
                Self::Runtime(timer) => match timer.poll(cx) {
                    Ok(polled) => return polled,
                    Err(WrongRuntime { deadline }) => *self = Self::at(deadline),
                },
            }
        }
    }
}

impl RuntimeTimer {
    /// Sleeps with the runtime of this thread.
    pub(super) fn at(deadline: Instant) -> Self {
        #[cfg(feature = "tokio")]
        if let Some(tokio) = TokioSleep::here(deadline) {
            return Self::Tokio(Box::pin(tokio));
        }
        Self::AsyncIo(Box::new(smol::Timer::at(deadline)))
    }

    #[cfg_attr(
        not(feature = "tokio"),
        allow(
            clippy::unnecessary_wraps,
            reason = "a timer of async-io works on every thread"
        )
    )]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, WrongRuntime> {
        match self {
            Self::AsyncIo(timer) => Ok(Pin::new(timer).poll(cx).map(drop)),
            #[cfg(feature = "tokio")]
            Self::Tokio(tokio) => tokio.as_mut().poll(cx),
        }
    }
}

#[cfg(feature = "tokio")]
mod tokio_sleep {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Instant;

    use pin_project_lite::pin_project;
    use tokio::runtime::Id;
    use tokio::time::{self, Sleep};

    use super::WrongRuntime;
    use crate::reactor::current_tokio;

    pin_project! {
        /// A sleep of one tokio runtime. It is polled only there: on other threads its timer may
        /// not run, and once the runtime has ended a poll panics.
        pub(in crate::time) struct TokioSleep {
            #[pin]
            sleep: Sleep,
            runtime: Id,
        }
    }

    impl TokioSleep {
        /// Returns `None` if this thread has no tokio runtime.
        pub(super) fn here(deadline: Instant) -> Option<Self> {
            let runtime = current_tokio()?;
            let sleep = time::sleep_until(deadline.into());
            Some(Self { sleep, runtime })
        }

        pub(super) fn poll(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Result<Poll<()>, WrongRuntime> {
            let this = self.project();
            if current_tokio() == Some(*this.runtime) {
                return Ok(this.sleep.poll(cx));
            }
            let deadline = this.sleep.deadline().into_std();
            Err(WrongRuntime { deadline })
        }
    }
}

#[cfg(all(test, target_os = "linux", not(halves_portable)))]
mod tests {
    use crate::time::Sleep;

    #[test]
    fn a_sleep_has_at_most_32_bytes() {
        assert!(size_of::<Option<Sleep>>() <= 32);
    }
}
