//! The health of a target: after a failure it is left out for a while, and then probed.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::connecting::is_ours;
use super::target::TargetState;
use crate::time::Clock;

/// The time for which a target is left out after its first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such time.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The check of a target by a probe.
pub(super) type Check = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

#[derive(Default)]
pub(super) struct TargetHealth(Mutex<HealthState>);

#[derive(Default)]
struct HealthState {
    /// The pause of a target that is left out.
    pause: Option<Pause>,
    /// A probe runs.
    is_probed: bool,
    /// The check of a probe of which the connection has ended. The next connection goes on with it.
    unfinished: Option<Check>,
}

#[derive(Clone, Copy)]
struct Pause {
    length: Duration,
    end: Instant,
}

impl TargetHealth {
    fn lock(&self) -> MutexGuard<'_, HealthState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if the target is left out, also while a probe is due.
    pub(super) fn is_left_out(&self) -> bool {
        self.lock().pause.is_some()
    }

    /// Records a connection.
    pub(super) fn succeed(&self) {
        let mut state = self.lock();
        state.pause = None;
        let unfinished = state.unfinished.take();
        drop(state);
        drop(unfinished);
    }

    /// Records a failure. During a pause, it changes nothing.
    pub(super) fn fail(&self, now: Instant) {
        let mut state = self.lock();
        let length = match state.pause {
            None => FIRST_PAUSE,
            Some(pause) if pause.end <= now => (2 * pause.length).min(MAX_PAUSE),
            Some(_) => return,
        };
        let end = now + length;
        state.pause = Some(Pause { length, end });
    }
}

/// A probe of a target that was left out. There is one at a time.
pub(super) struct Probe {
    state: Arc<TargetState>,
    clock: Clock,
    /// None when it has ended.
    check: Option<Check>,
}

impl Probe {
    /// Returns the probe of a target, if it is due: an unfinished one, or a new one with the check
    /// that `begin` returns.
    pub(super) fn due(
        state: &Arc<TargetState>,
        clock: &Clock,
        begin: impl FnOnce() -> Check,
    ) -> Option<Self> {
        let now = clock.now();
        let mut health = state.health.lock();
        let is_due = health.pause.is_some_and(|pause| pause.end <= now);
        if !is_due || health.is_probed {
            return None;
        }
        health.is_probed = true;
        let unfinished = health.unfinished.take();
        drop(health);
        Some(Self {
            state: state.clone(),
            clock: clock.clone(),
            check: Some(unfinished.unwrap_or_else(begin)),
        })
    }

    /// Ready when the result is recorded.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(check) = &mut self.check else {
            return Poll::Ready(());
        };
        let result = ready!(check.as_mut().poll(cx));
        self.check = None;
        match result {
            Ok(()) => self.state.health.succeed(),
            Err(error) if is_ours(&error) => {}
            Err(_) => self.state.health.fail(self.clock.now()),
        }
        Poll::Ready(())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let mut health = self.state.health.lock();
        health.is_probed = false;
        if health.pause.is_some() {
            health.unfinished = self.check.take();
        }
    }
}
