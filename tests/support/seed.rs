//! Seeds of random cases.

use std::env;
use std::ops::Range;

/// The number in an environment variable, if it is set.
pub(crate) fn number(name: &str) -> Option<u64> {
    let number = env::var(name).ok()?;
    Some(
        number
            .parse()
            .unwrap_or_else(|_| panic!("{name} is not a number")),
    )
}

/// `HALVES_SEED`, or a random seed. It is printed, which the harness shows if the test fails.
#[allow(clippy::print_stdout, reason = "the harness shows it with a failure")]
pub(crate) fn seed() -> u64 {
    let seed = number("HALVES_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("HALVES_SEED={seed}");
    seed
}

/// `HALVES_SEED` alone, or `count` seeds from a random one on.
pub(crate) fn seeds(count: u64) -> Range<u64> {
    let given = number("HALVES_SEED");
    let first = given.unwrap_or_else(|| fastrand::u64(..1 << 48));
    first..first + given.map_or(count, |_| 1)
}
