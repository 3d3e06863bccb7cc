//! Where the random cases of the comparisons come from.

use std::io::{self, Write};

/// `HALVES_SEED`, or any; it is printed, past the test harness.
pub(crate) fn seed() -> u64 {
    let seed = match std::env::var("HALVES_SEED") {
        Ok(seed) => seed.parse().expect("HALVES_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    let _ = writeln!(io::stderr(), "HALVES_SEED={seed}");
    seed
}
