//! Random schedules: whatever clients, time and operators do, the counts add up, nobody outlives a
//! deadline or has more than a share, and nothing is left at the end.
//!
//! `HALVES_SEED=7` replays one schedule, `HALVES_SCHEDULES=100000` runs so many.

mod client;
mod handlers;
mod model;
mod records;
mod settings;

use std::env;
use std::thread;

use halves::Reason;

use crate::schedules::model::Model;

const SCHEDULES: u64 = 300;

#[test]
fn every_schedule_keeps_the_books() {
    let number = |name| env::var(name).ok().map(|n| n.parse().expect(name));
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
    // Schedules in which little happens would prove little.
    let often = schedules < SCHEDULES || ended.iter().all(|&n| n >= 10);
    assert!(
        often,
        "{:?}",
        Reason::ALL.iter().zip(ended).collect::<Vec<_>>()
    );
}

/// Says which schedule has failed, and what its steps were.
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
