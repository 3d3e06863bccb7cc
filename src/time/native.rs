//! Sleeps on Linux: with the reactor of the thread that polls them, or with another runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use super::foreign::{Elsewhere, Foreign};
use crate::reactor::Alarm;

/// A sleep on the machine's clock.
pub(super) enum Timer {
    Ours(Alarm),
    /// It was polled on a thread that drives no reactor of ours.
    Foreign(Foreign),
}

impl Timer {
    pub(super) fn at(deadline: Instant) -> Self {
        Self::Ours(Alarm::new(deadline))
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut *self {
                Self::Ours(alarm) => {
                    if let Some(polled) = alarm.poll(cx, super::now) {
                        return polled;
                    }
                    *self = Self::Foreign(Foreign::at(alarm.deadline()));
                }
                Self::Foreign(foreign) => match foreign.poll(cx) {
                    Ok(polled) => return polled,
                    Err(Elsewhere { deadline }) => *self = Self::at(deadline),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::time::Sleep;

    #[test]
    fn a_sleep_is_small() {
        assert!(size_of::<Option<Sleep>>() <= 32);
    }
}
