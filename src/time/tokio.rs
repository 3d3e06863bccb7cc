//! Sleeps on the timer of a tokio runtime.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use ::tokio::runtime::Id;
use ::tokio::time::{self, Sleep};
use pin_project_lite::pin_project;

use super::foreign::Elsewhere;
use crate::reactor::tokio_here;

pin_project! {
    /// It belongs to one runtime, and is polled only there: elsewhere nothing may drive it, and it
    /// panics where its runtime has ended.
    pub(super) struct Tokio {
        #[pin]
        sleep: Sleep,
        runtime: Id,
    }
}

impl Tokio {
    /// None: this thread has no runtime of tokio.
    pub(super) fn here(deadline: Instant) -> Option<Self> {
        let runtime = tokio_here()?;
        let sleep = time::sleep_until(deadline.into());
        Some(Self { sleep, runtime })
    }

    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Result<Poll<()>, Elsewhere> {
        let this = self.project();
        if tokio_here() == Some(*this.runtime) {
            return Ok(this.sleep.poll(cx));
        }
        let deadline = this.sleep.deadline().into_std();
        Err(Elsewhere { deadline })
    }
}
