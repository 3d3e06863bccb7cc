//! The seed of random cases.

/// `HALVES_SEED`, or a random seed. It is printed, which the harness shows if the test fails.
#[allow(clippy::print_stdout, reason = "the harness shows it with a failure")]
pub(super) fn seed() -> u64 {
    let given = std::env::var("HALVES_SEED").ok();
    let seed = given.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    println!("HALVES_SEED={seed}");
    seed
}
