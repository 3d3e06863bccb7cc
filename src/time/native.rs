//! Sleeps on Linux: with this crate's reactor on its threads, elsewhere with another runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use super::runtime::{RuntimeTimer, WrongRuntime};
use crate::reactor::Alarm;

/// A sleep on the system clock.
pub(super) enum Timer {
    Reactor(Alarm),
    /// Last polled on a thread that drives no reactor of this crate.
    Runtime(RuntimeTimer),
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

#[cfg(test)]
mod tests {
    use crate::time::Sleep;

    #[test]
    fn a_sleep_has_at_most_32_bytes() {
        assert!(size_of::<Option<Sleep>>() <= 32);
    }
}
