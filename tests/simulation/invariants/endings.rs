//! The ends of a server: when it is asked to drain or to abort, and how long it may take.

use std::time::Duration;

use halves::Shutdown;
use halves::testing::Sim;

use super::ledger::{Ledger, PRECISION};
use super::settings::millis;

/// The end of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Drain,
    /// A drain, and an abort after a while.
    Forced(Duration),
    Abort,
    /// A drain before the first accept.
    Early,
    /// The future of the server is dropped.
    Dropped,
}

impl Ending {
    pub(crate) fn random(sim: &Sim) -> Self {
        match sim.random(0..12) {
            0 | 1 => Self::Forced(millis(sim, 0..5000)),
            2 => Self::Abort,
            3 => Self::Early,
            4 => Self::Dropped,
            _ => Self::Drain,
        }
    }

    /// Asks the server to end. Returns the longest time that this may take, from the call on.
    pub(crate) async fn ask(
        self,
        sim: &Sim,
        ledger: &Ledger,
        shutdown: &Shutdown,
        [delay, drain_timeout]: [Duration; 2],
    ) -> Duration {
        let clock = sim.clock();
        ledger.drain();
        if !matches!(self, Self::Drain | Self::Early) {
            ledger.may_abort();
        }
        match self {
            Self::Drain | Self::Early => {
                shutdown.drain();
                clock.sleep(delay).await;
                ledger.stop_accepting();
                if drain_timeout <= PRECISION {
                    ledger.may_abort();
                }
                sim.spawn(may_abort_after(sim.clone(), ledger.clone(), drain_timeout));
                delay + drain_timeout
            }
            Self::Forced(after) => {
                shutdown.drain();
                clock.sleep(after.min(delay)).await;
                ledger.stop_accepting();
                clock.sleep(after.saturating_sub(delay)).await;
                shutdown.abort();
                after
            }
            Self::Abort | Self::Dropped => {
                ledger.stop_accepting();
                shutdown.abort();
                Duration::ZERO
            }
        }
    }
}

/// Permits aborts from the deadline of the drain on.
async fn may_abort_after(sim: Sim, ledger: Ledger, drain_timeout: Duration) {
    let before = drain_timeout.saturating_sub(PRECISION);
    sim.clock().sleep(before).await;
    ledger.may_abort();
}
