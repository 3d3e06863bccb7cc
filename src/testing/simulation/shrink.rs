//! Reduces the faults of a failing run to a smallest set with which it still fails.

use std::future::Future;
use std::io;

use super::{Failure, Sim, Simulation, run};

/// The most runs of a reduction.
const MAX_RUNS: usize = 200;

/// Leaves out groups of faults, large ones first, as long as the run fails without them (delta
/// debugging, Zeller and Hildebrandt 2002). Returns the failure of the smallest run.
pub(super) fn shrink<F>(
    simulation: &Simulation,
    mut failure: Failure,
    test: &impl Fn(Sim) -> F,
) -> Failure
where
    F: Future<Output = io::Result<()>>,
{
    let mut runs = 0;
    let mut size = failure.faults.len();
    while size > 0 {
        let before = failure.faults.len();
        let mut start = 0;
        while start < failure.faults.len() {
            if runs == MAX_RUNS {
                return failure;
            }
            runs += 1;
            let mut fewer = failure.faults.clone();
            fewer.drain(start..(start + size).min(fewer.len()));
            let smaller = simulation.clone().only(fewer);
            match run::run(&smaller, failure.seed, test) {
                // Its faults are those that have happened.
                Err(smaller) if smaller.faults.len() < failure.faults.len() => failure = smaller,
                _ => start += size,
            }
        }
        // A fault that was needed may no longer be.
        if size > 1 || failure.faults.len() == before {
            size /= 2;
        }
    }
    failure
}
