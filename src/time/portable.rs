//! Sleeps where there is no reactor of ours: with the runtime of the thread that polls them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use super::foreign::{Elsewhere, Foreign};

/// A sleep on the machine's clock.
pub(super) enum Timer {
    /// Until it is polled.
    New(Instant),
    Foreign(Foreign),
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
                Self::New(deadline) => *self = Self::Foreign(Foreign::at(*deadline)),
                Self::Foreign(foreign) => match foreign.poll(cx) {
                    Ok(polled) => return polled,
                    Err(Elsewhere { deadline }) => *self = Self::at(deadline),
                },
            }
        }
    }
}
