//! Sleeps with another runtime: tokio's in its tasks, async-io's everywhere else.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

#[cfg(feature = "tokio")]
use super::tokio::Tokio;

/// Boxed, because most sleeps are our own reactor's.
pub(super) enum Foreign {
    AsyncIo(Box<smol::Timer>),
    #[cfg(feature = "tokio")]
    Tokio(Pin<Box<Tokio>>),
}

/// A sleep that the runtime of this thread has to take over.
pub(super) struct Elsewhere {
    #[cfg_attr(
        not(feature = "tokio"),
        allow(dead_code, reason = "async-io is everywhere")
    )]
    pub(super) deadline: Instant,
}

impl Foreign {
    /// Sleeps with the runtime of this thread.
    pub(super) fn at(deadline: Instant) -> Self {
        #[cfg(feature = "tokio")]
        if let Some(tokio) = Tokio::here(deadline) {
            return Self::Tokio(Box::pin(tokio));
        }
        Self::AsyncIo(Box::new(smol::Timer::at(deadline)))
    }

    #[cfg_attr(
        not(feature = "tokio"),
        allow(clippy::unnecessary_wraps, reason = "async-io is everywhere")
    )]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Elsewhere> {
        match self {
            Self::AsyncIo(timer) => Ok(Pin::new(timer).poll(cx).map(drop)),
            #[cfg(feature = "tokio")]
            Self::Tokio(tokio) => tokio.as_mut().poll(cx),
        }
    }
}
