//! Orders of the handle and deadlines while bytes are unsent.

use super::*;
use halves::{Handle, Shutdown, Timeouts};

use crate::support::harness::sockets::run;

type Order = fn(&Handle, &Shutdown);

/// Orders that reset a connection, and the reason in the report.
const RESETTING_ORDERS: [(Order, &str); 3] = [
    (|handle, _| assert!(handle.kill(1)), "killed"),
    (|handle, _| handle.abort_clients(), "aborted"),
    (|_, shutdown| shutdown.abort(), "aborted"),
];

/// A server with connections that live for nine to ten seconds.
fn mortal() -> Timeouts {
    Timeouts::default().lifetime(SECOND * 10)
}

#[test]
fn a_forced_end_does_not_wait_for_unsent_bytes() {
    for then in [
        Then::Returns,
        Then::WaitsForSomethingElse,
        Then::Flushes,
        Then::WritesMore,
    ] {
        for (order, reason) in RESETTING_ORDERS {
            for family in FAMILIES {
                run(family, async |world| {
                    let (served, client, n) = stuffed(&world, Server::default(), then).await;
                    world.pass(SECOND).await;
                    order(&served.handle, &served.shutdown);
                    let events = served.until_closed().await;
                    // The loss of the bytes is no error of its own.
                    assert!(events.contains(&format!("closed 1 {reason}")), "{events:?}");
                    assert_cut(&world, &client, n).await;
                });
            }
        }
    }
}

#[test]
fn a_drain_waits_for_unsent_bytes_up_to_its_deadline() {
    for takes in [true, false] {
        for family in FAMILIES {
            run(family, async |world| {
                let server = Server::default().drain_timeout(SECOND);
                let (served, client, n) = left(&world, server).await;
                served.shutdown.drain();
                world.pass(SECOND - MOMENT).await;
                assert_eq!(served.events(), ["draining 1 within 1s"]);
                if takes {
                    assert_bytes(0, &client.take(n).await);
                    drop(client);
                    assert_eq!(served.until_closed().await[0], "closed 1 handler");
                } else {
                    world.pass(MOMENT).await;
                    assert_eq!(served.until_closed().await[0], "closed 1 aborted");
                    assert_cut(&world, &client, n).await;
                }
                let report = served.serving.await.expect("no error of the listener");
                let (finished, aborted) = (usize::from(takes), usize::from(!takes));
                assert_eq!((report.finished, report.aborted), (finished, aborted));
            });
        }
    }
}

#[test]
fn a_drain_does_not_wait_for_a_client_that_reads_nothing() {
    run(Family::Unix, async |world| {
        let (served, client, n) = left(&world, Server::default()).await;
        served.shutdown.drain();
        world.pass(LINGER - MOMENT).await;
        assert_eq!(served.events(), ["draining 1 within 30s"]);
        world.pass(MOMENT).await;
        assert_eq!(served.events(), ["closed 1 error: timed out", "ended 1 0"]);
        assert_cut(&world, &client, n).await;
    });
}

#[test]
fn a_close_allows_two_seconds_for_unsent_bytes() {
    for then in [Then::WaitsForSomethingElse, Then::Flushes, Then::Closes] {
        for reason in ["closed", "lifetime"] {
            for (takes, family) in [
                (true, Family::Tcp),
                (true, Family::Unix),
                (false, Family::Tcp),
                (false, Family::Unix),
            ] {
                run(family, async |world| {
                    let server = match reason {
                        "closed" => Server::default(),
                        _ => Server::default().timeouts(mortal()),
                    };
                    let (served, client, n) = stuffed(&world, server, then).await;
                    world.pass(SECOND * 10).await;
                    if reason == "closed" {
                        served.handle.close_clients();
                    }
                    world.pass(LINGER - MOMENT).await;
                    assert_eq!(served.events(), [""; 0]);
                    if takes {
                        assert_bytes(0, &client.take(n).await);
                        let (rest, end) = client.rest().await;
                        assert!(rest.is_empty() && end.is_ok());
                        drop(client);
                    } else {
                        world.pass(MOMENT).await;
                        assert_cut(&world, &client, n).await;
                    }
                    let events = served.until_closed().await;
                    assert_eq!(events, [format!("closed 1 {reason}")]);
                });
            }
        }
    }
}

#[test]
fn a_close_in_the_middle_of_a_write_resets_at_once() {
    for family in FAMILIES {
        run(family, async |world| {
            let (served, client, n) = stuffed(&world, Server::default(), Then::WritesMore).await;
            served.handle.close_clients();
            assert_eq!(served.until_closed().await, ["closed 1 closed"]);
            assert_cut(&world, &client, n).await;
        });
    }
}

#[test]
fn a_close_does_not_extend_two_seconds_that_have_begun() {
    for takes in [true, false] {
        run(Family::Unix, async |world| {
            let (served, client, n) = left(&world, Server::default()).await;
            world.pass(SECOND).await;
            served.handle.close_clients();
            if takes {
                client.take(PIECE).await;
            }
            world.pass(SECOND - MOMENT).await;
            assert_eq!(served.events(), [""; 0]);
            world.pass(MOMENT).await;
            // Without the order, its progress would have counted.
            assert_eq!(served.events(), ["closed 1 closed"]);
            let (received, _) = client.rest().await;
            assert!(received.len() + PIECE < n);
        });
    }
}

#[test]
fn a_kill_after_a_close_is_not_reported_as_an_error() {
    for family in FAMILIES {
        run(family, async |world| {
            let (served, client, n) = left(&world, Server::default()).await;
            served.handle.close_clients();
            world.pass(SECOND).await;
            assert!(served.handle.kill(1), "it is listed");
            assert_eq!(served.until_closed().await, ["closed 1 closed"]);
            assert_cut(&world, &client, n).await;
        });
    }
}

/// Bytes count as moved when they are taken from the handler.
#[test]
fn a_deadline_passes_despite_progress_of_the_client() {
    let idle = |limit| Timeouts::default().idle(limit);
    for (timeouts, quiet, limit, reason) in [
        (idle(SECOND), SECOND - MOMENT, SECOND, "idle"),
        (idle(SECOND * 5), SECOND * 5 - MOMENT, SECOND * 5, "idle"),
        (mortal(), SECOND * 9, SECOND * 10, "lifetime"),
    ] {
        run(Family::Unix, async |world| {
            let (served, client, n) = left(&world, Server::default().timeouts(timeouts)).await;
            let (mut passed, mut taken) = (Duration::ZERO, 0);
            while passed < quiet {
                let step = SECOND.min(quiet - passed);
                world.pass(step).await;
                passed += step;
                assert_eq!(served.events(), [""; 0], "after {passed:?}");
                taken += client.take(PIECE).await.len();
            }
            world.pass(limit - quiet).await;
            assert_eq!(served.events(), [format!("closed 1 {reason}")]);
            let (received, _) = client.rest().await;
            assert!(taken + received.len() < n);
        });
    }
}

#[test]
fn a_dropped_server_resets_connections_with_unsent_bytes() {
    for family in FAMILIES {
        run(family, async |world| {
            let (served, client, n) = left(&world, Server::default()).await;
            let Served {
                serving, handle, ..
            } = served;
            drop(serving);
            eventually(|| (handle.stats().open == 0).then_some(())).await;
            assert_eq!(handle.stats().ended[halves::Reason::Aborted], 1);
            assert_cut(&world, &client, n).await;
        });
    }
}
