//! The seeds of a test.

use std::ops::Range;

use crate::support::seed::number;

/// The value of `HALVES_SIMULATIONS` up to which a test has its usual seeds.
const USUAL_SIMULATIONS: u64 = 20_000;

/// `HALVES_SEED` alone, or `usual` seeds. With more than 20,000 in `HALVES_SIMULATIONS`, such as
/// 1000000 for a night, there are more in proportion.
pub(crate) fn seeds(usual: u64) -> Range<u64> {
    if let Some(seed) = number("HALVES_SEED") {
        return seed..seed + 1;
    }
    let simulations = number("HALVES_SIMULATIONS").unwrap_or(0);
    0..usual * simulations.max(USUAL_SIMULATIONS) / USUAL_SIMULATIONS
}

/// Returns true if the seeds are many, so that a test may expect each kind of result.
pub(crate) fn are_many() -> bool {
    number("HALVES_SEED").is_none()
}
