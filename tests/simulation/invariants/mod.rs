//! The invariants of a server, in random scripts: servers with random limits, handlers and clients of
//! many kinds, orders while they run, and several ends.
//!
//! A script keeps a [`Ledger`](ledger::Ledger) for each server. Events of the server, its handlers and
//! the clients write into it; it checks each entry against those before. The end of the script checks
//! the sums.

mod clients;
mod door;
mod endings;
mod handlers;
mod layer;
mod ledger;
mod orders;
mod script;
mod settings;

use halves::testing::{Faults, Simulation};

use script::script;

use crate::support::seed::number;

/// The seeds of the usual run.
const SEEDS: u64 = 2_000;
/// The environment variable with another number of seeds, such as 1000000 for a night.
const SEEDS_VARIABLE: &str = "HALVES_SIMULATIONS";
/// The tests that share the seeds. Seed n belongs to test n modulo this.
const TESTS: u64 = 4;

/// A kind of network: its faults, and the loss by which a script is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Bytes are split and late, and no connection fails.
    Reliable,
    /// As `Reliable`, with small buffers and a low bandwidth.
    Narrow,
    /// Connections are refused and reset, and accepts fail.
    Resets,
    /// As `Resets`, and an output may end early or lose its bytes without a reset.
    Lossy,
}

impl Network {
    /// Every third script moves all bytes at once, and every third moves few of them in each call.
    fn faults(self, seed: u64) -> Faults {
        let kind = seed / TESTS % 3;
        let few_bytes = kind == 2;
        let faults = match kind {
            0 => Faults::default(),
            1 => Faults::default().pauses(0.0).max_piece(usize::MAX),
            _ => Faults::default().pauses(0.002).max_piece(40),
        };
        match self {
            Self::Reliable => faults.accept_errors(0.1),
            // With small pieces, each byte would arrive at a time of its own.
            Self::Narrow if few_bytes => faults.buffer(700).stalls(0.3),
            Self::Narrow => faults.buffer(700).bandwidth(40_000).stalls(0.3),
            Self::Resets => faults.resets(0.15).refusals(0.1).accept_errors(0.2),
            Self::Lossy => Faults::all(),
        }
    }

    /// Returns the length of a message that is longer than all buffers.
    pub(crate) fn long_message(self) -> u64 {
        if self == Self::Narrow { 5000 } else { 150_000 }
    }

    /// Returns true if no connection is reset or cut by the network.
    pub(crate) fn keeps_connections(self) -> bool {
        matches!(self, Self::Reliable | Self::Narrow)
    }

    /// Returns true if an end of input shows that all bytes before it have arrived.
    pub(crate) fn ends_are_real(self) -> bool {
        self != Self::Lossy
    }
}

/// Runs the seeds of one of the tests, or the seed in `HALVES_SEED` if it belongs to this test.
fn run(network: Network, test: u64) {
    let given = number("HALVES_SEED");
    let seeds = given.map_or(0..number(SEEDS_VARIABLE).unwrap_or(SEEDS), |seed| {
        seed..seed + 1
    });
    for seed in seeds.filter(|seed| seed % TESTS == test) {
        Simulation::builder()
            .seed(seed)
            .faults(network.faults(seed))
            .run(|sim| script(sim, network));
    }
}

#[test]
fn a_reliable_network_shows_the_invariants_of_a_server() {
    run(Network::Reliable, 0);
}

#[test]
fn a_narrow_network_shows_the_invariants_of_a_server() {
    run(Network::Narrow, 1);
}

#[test]
fn a_network_with_resets_shows_the_invariants_of_a_server() {
    run(Network::Resets, 2);
}

#[test]
fn a_lossy_network_shows_the_invariants_of_a_server() {
    run(Network::Lossy, 3);
}
