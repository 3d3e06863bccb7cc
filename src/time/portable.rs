//! Sleeps on systems without the epoll reactor: with the runtime of the thread that polls them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use super::runtime::{RuntimeTimer, WrongRuntime};

/// A sleep on the system clock.
pub(super) enum Timer {
    /// Not polled yet.
    New(Instant),
    Runtime(RuntimeTimer),
}

impl Timer {
    pub(super) fn at(deadline: Instant) -> Self {
        Self::New(deadline)
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut *self {
                Self::New(deadline) => *self = Self::Runtime(RuntimeTimer::at(*deadline)),
                Self::Runtime(timer) => match timer.poll(cx) {
                    Ok(polled) => return polled,
                    Err(WrongRuntime { deadline }) => *self = Self::at(deadline),
                },
            }
        }
    }
}
