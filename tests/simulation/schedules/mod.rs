//! Random schedules of clients, time and operators: the counts add up, no connection outlives a
//! deadline or exceeds a limit, and nothing is left at the end.

mod client;
mod handlers;
mod model;
mod records;
mod settings;

use std::cell::RefCell;

use fastrand::Rng;
use halves::Reason;
use halves::testing::{Faults, Sim, Simulation};

use crate::schedules::model::Model;
use crate::schedules::settings::Settings;
use crate::seeds::{are_many, seeds};

/// The usual number of schedules.
const SCHEDULES: u64 = 300;
/// Reasons of connections with layers, targets and children.
const ELSEWHERE: [Reason; 6] = [
    Reason::ProxyHeader,
    Reason::Tls,
    Reason::Truncated,
    Reason::Refused,
    Reason::Child,
    Reason::Handover,
];

/// Small pieces, random waits, and no delay: an order to a client has its whole effect at once.
fn faults(seed: u64) -> Faults {
    let bound = Settings::random(&mut Rng::with_seed(seed)).bound;
    Faults::none().buffer(bound).max_piece(64).pauses(0.05)
}

#[test]
fn the_counts_add_up_in_every_schedule() {
    let ended = RefCell::new([0; Reason::ALL.len()]);
    for seed in seeds(SCHEDULES) {
        let simulation = Simulation::builder().seed(seed).faults(faults(seed));
        simulation.run(async |sim: Sim| {
            let stats = Model::new(sim)?.run().await;
            for (sum, &reason) in ended.borrow_mut().iter_mut().zip(Reason::ALL) {
                *sum += stats.ended[reason];
            }
            Ok(())
        });
    }
    // Schedules with few events would prove little.
    let mut counts = Reason::ALL.iter().zip(ended.into_inner());
    let rare = counts.find(|(reason, n)| *n < 10 && !ELSEWHERE.contains(reason));
    assert!(rare.is_none() || !are_many(), "{rare:?}");
}
