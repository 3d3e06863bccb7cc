//! The health of a target: after a failure it is left out for a while, and then probed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::target::TargetState;

/// The time for which a target is left out after its first failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such time.
const MAX_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct TargetHealth(Mutex<HealthState>);

#[derive(Debug, Default)]
struct HealthState {
    /// The pause of a target that is left out.
    pause: Option<Pause>,
    /// A probe runs.
    is_probed: bool,
}

#[derive(Clone, Copy, Debug)]
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
        self.lock().pause = None;
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

/// The right to probe a target. There is one at a time.
#[derive(Debug)]
pub(super) struct Probe(Arc<TargetState>);

impl Probe {
    /// Returns the probe of a target, if it is due.
    pub(super) fn due(state: &Arc<TargetState>, now: Instant) -> Option<Self> {
        let mut health = state.health.lock();
        let is_due = health.pause.is_some_and(|pause| pause.end <= now);
        if !is_due || health.is_probed {
            return None;
        }
        health.is_probed = true;
        Some(Self(state.clone()))
    }

    pub(super) fn target(&self) -> &TargetState {
        &self.0
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.health.lock().is_probed = false;
    }
}
