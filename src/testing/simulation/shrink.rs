//! Reduces the faults of a failing run to a smallest set with which it still fails.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::panic;
use std::sync::Once;

use super::{Failure, Sim, Simulation, run};

/// The most runs of a reduction.
const MAX_RUNS: usize = 200;

thread_local! {
    /// True while the panics of this thread print no message.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Leaves out groups of faults, large ones first, as long as the run fails without them in the same
/// way (delta debugging, Zeller and Hildebrandt 2002). Returns the failure of the smallest run: within
/// [`MAX_RUNS`], no fault of it can be left out alone.
pub(super) fn shrink<F>(
    simulation: &Simulation,
    mut failure: Failure,
    test: &impl Fn(Sim) -> F,
) -> Failure
where
    F: Future<Output = io::Result<()>>,
{
    let kind = kind(&failure.problem);
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
            match quietly(|| run::run(&smaller, failure.seed, test)) {
                // Its faults are those that have happened.
                Err(smaller)
                    if smaller.faults.len() < failure.faults.len()
                        && self::kind(&smaller.problem) == kind =>
                {
                    failure = smaller;
                }
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

/// Calls `run`, with no message of a panic in this thread: the panics of smaller runs are as many, and
/// much alike. Changes the panic hook once, to one that calls the hook before it for all other panics.
fn quietly<T>(run: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                hook(info);
            }
        }));
    });
    let before = IS_QUIET.replace(true);
    let result = run();
    IS_QUIET.set(before);
    result
}

/// Returns the problem without its numbers. A run without some fault may fail for another reason, such
/// as a count of that fault.
fn kind(problem: &str) -> String {
    let mut kind = String::new();
    let mut numbers = false;
    for c in problem.chars() {
        if c.is_ascii_digit() {
            if !numbers {
                kind.push('#');
            }
            numbers = true;
        } else if !(numbers && matches!(c, ' ' | ',' | '.' | '_')) {
            numbers = false;
            kind.push(c);
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn a_kind_of_problem_has_no_numbers() {
        assert_eq!(kind("left: [1, 22, 3]"), kind("left: [7]"));
        assert_eq!(kind("took 1.5s"), "took #s");
        assert_ne!(kind("left: 0\n"), kind("left: 15ms\n"));
    }
}
