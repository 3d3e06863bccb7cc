//! The orders of an operator while a server runs.

use futures_lite::future;
use halves::Reason;
use halves::testing::Sim;

use super::ledger::Ledger;
use super::settings::{Allowed, SourceLimits, Times, millis, one_of};

/// Gives a few orders at random times.
pub(crate) async fn orders(sim: Sim, ledger: Ledger) {
    for _ in 0..sim.random(0..6) {
        let pause = sim.clock().sleep(millis(&sim, 0..3000));
        if one_of(&sim, 2) {
            pause.await;
        } else {
            let calls = sim.random(1..60);
            future::or(ledger.busy(calls), pause).await;
        }
        ledger.inspect();
        order(&sim, &ledger);
        ledger.inspect();
    }
}

fn order(sim: &Sim, ledger: &Ledger) {
    let handle = ledger.handle();
    match sim.random(0..13) {
        0 | 1 => {
            let max = usize::try_from(sim.random(1..5)).expect("a small number");
            ledger.set_max(max);
            handle.set_max_connections(max);
        }
        2 | 3 => {
            let times = Times::random(sim);
            ledger.set_times(times);
            handle.set_timeouts(times.timeouts());
        }
        4 | 12 => {
            let limits = SourceLimits::random(sim);
            ledger.set_sources(limits);
            handle.set_sources(limits.sources());
        }
        5 => {
            let allowed = Allowed::random(sim);
            ledger.set_allowed(allowed);
            handle.set_rules(allowed.rules());
        }
        6 => all(ledger, Reason::Closed),
        7 => all(ledger, Reason::Aborted),
        8 => {
            one(sim, ledger, Reason::Killed);
            all(ledger, Reason::Closed);
        }
        9 => {
            one(sim, ledger, Reason::Closed);
            all(ledger, Reason::Aborted);
        }
        10 => one(sim, ledger, Reason::Closed),
        _ => one(sim, ledger, Reason::Killed),
    }
}

fn one(sim: &Sim, ledger: &Ledger, reason: Reason) {
    let open = ledger.open_ids();
    if open.is_empty() {
        return;
    }
    let n = usize::try_from(sim.random(0..open.len() as u64)).expect("a small number");
    let id = open[n];
    ledger.order(id, reason);
    let handle = ledger.handle();
    let found = match reason {
        Reason::Closed => handle.close(id),
        _ => handle.kill(id),
    };
    if !found {
        ledger.fail(format!("connection {id} is open, and was not found"));
    }
}

fn all(ledger: &Ledger, reason: Reason) {
    for id in ledger.open_ids() {
        ledger.order(id, reason);
    }
    match reason {
        Reason::Closed => ledger.handle().close_clients(),
        _ => ledger.handle().abort_clients(),
    }
}
