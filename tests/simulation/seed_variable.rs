//! The seeds of a simulation, and the environment variable with one.

use std::cell::RefCell;
use std::env;
use std::panic::catch_unwind;
use std::process::{Command, Output};

use halves::testing::{Sim, Simulation};

/// Returns the seeds that a simulation runs.
fn seeds_of(simulation: &Simulation) -> Vec<u64> {
    let seeds = RefCell::new(Vec::new());
    simulation.run(async |sim: Sim| {
        seeds.borrow_mut().push(sim.seed());
        Ok(())
    });
    seeds.into_inner()
}

/// Also run by the test below, with the variable.
#[test]
#[allow(clippy::print_stdout, reason = "the test below reads it")]
fn a_simulation_has_the_seeds_that_were_asked_for() {
    println!("default {:?}", seeds_of(&Simulation::builder()));
    for seed in [0, 7, u64::MAX] {
        assert_eq!(seeds_of(&Simulation::builder().seed(seed)), [seed]);
    }
    assert_eq!(seeds_of(&Simulation::builder().seeds(3..6)), [3, 4, 5]);
    let none = catch_unwind(|| Simulation::builder().seeds(3..3));
    assert!(none.is_err(), "a simulation without seeds shows nothing");
}

/// Runs the test above with this variable.
fn with_variable(value: Option<&str>) -> Output {
    let mut test = Command::new(env::current_exe().expect("our own path"));
    let name = "seed_variable::a_simulation_has_the_seeds_that_were_asked_for";
    test.args(["--exact", name, "--nocapture"]);
    test.env_remove("HALVES_SEED");
    test.envs(value.map(|value| ("HALVES_SEED", value)));
    test.output().expect("it runs")
}

#[test]
fn the_variable_replaces_the_default_seeds_by_one() {
    for (value, seeds) in [
        (None, (0..100).collect()),
        (Some("0"), vec![0]),
        (Some("123"), vec![123]),
        (Some("18446744073709551615"), vec![u64::MAX]),
    ] {
        let output = with_variable(value);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(&format!("default {seeds:?}\n")), "{text}");
        assert!(output.status.success(), "{text}");
    }
}

#[test]
fn a_variable_that_is_no_seed_is_an_error() {
    for value in ["", "seven", "-1", "0..9", "18446744073709551616"] {
        let output = with_variable(Some(value));
        let text = String::from_utf8_lossy(&output.stderr);
        let expected =
            format!("HALVES_SEED is {value:?}: set it to one seed, such as 7, or unset it");
        assert!(text.contains(&expected), "{text}");
        assert!(!output.status.success());
    }
}
