//! Sleeps on the timers of other runtimes: tokio's in its tasks, async-io's everywhere else.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

#[cfg(feature = "tokio")]
use tokio_sleep::TokioSleep;

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
