//! Random schedules of clients, time and operators: the counts add up, no connection outlives a
//! deadline or exceeds a limit, and nothing is left at the end.
//!
//! `HALVES_SEED=7` replays one schedule, `HALVES_SCHEDULES=100000` runs so many.

mod client;
mod handlers;
mod model;
mod records;
mod settings;

use std::thread;

use halves::Reason;

use crate::schedules::model::Model;
use crate::support::seed::number;

const SCHEDULES: u64 = 300;

#[test]
fn the_counts_add_up_in_every_schedule() {
    let seeds = match number("HALVES_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HALVES_SCHEDULES").unwrap_or(SCHEDULES),
    };
    let mut ended = [0; Reason::ALL.len()];
    let schedules = seeds.end - seeds.start;
    for seed in seeds {
        let stats = Schedule(Model::new(seed)).0.run();
        for (sum, &reason) in ended.iter_mut().zip(Reason::ALL) {
            *sum += stats.ended[reason];
        }
    }
    // Schedules with few events would prove little. They have no layers, targets or children.
    let elsewhere = [
        Reason::ProxyHeader,
        Reason::Tls,
        Reason::Truncated,
        Reason::Refused,
        Reason::Child,
        Reason::Handover,
    ];
    let mut counts = Reason::ALL.iter().zip(ended);
    let rare = counts.find(|(reason, n)| *n < 10 && !elsewhere.contains(reason));
    assert!(schedules < SCHEDULES || rare.is_none(), "{rare:?}");
}

/// Prints the steps and the settings of a schedule that has failed.
struct Schedule(Model);

impl Drop for Schedule {
    #[allow(
        clippy::print_stdout,
        reason = "the test harness shows it with the failure"
    )]
    fn drop(&mut self) {
        let model = &self.0;
        if thread::panicking() {
            println!("{}\n{:#?}", model.steps.join("\n"), model.settings);
            println!("replay it with HALVES_SEED={}", model.seed);
        }
    }
}
