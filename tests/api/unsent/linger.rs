//! A connection without a handler is kept as long as its client makes progress.

use super::*;

use crate::support::harness::sockets::run;

#[test]
fn a_client_that_reads_nothing_for_two_seconds_is_reset() {
    run(Family::Unix, async |world| {
        let (served, client, n) = left(&world, Server::default()).await;
        world.pass(LINGER - MOMENT).await;
        assert_eq!(served.events(), [""; 0]);
        world.pass(MOMENT).await;
        assert_eq!(served.events(), ["closed 1 error: timed out"]);
        assert_cut(&world, &client, n).await;
    });
}

#[test]
fn a_clock_that_jumps_finds_one_end() {
    for family in FAMILIES {
        run(family, async |world| {
            let (served, client, n) = left(&world, Server::default()).await;
            world.manual.advance(LINGER * 10);
            // Acknowledgements that come late count as progress, which happens at most twice.
            let mut events = Vec::new();
            for _ in 0..5 {
                world.pass(LINGER).await;
                events.extend(served.events());
            }
            assert_eq!(events, ["closed 1 error: timed out"]);
            assert_cut(&world, &client, n).await;
        });
    }
}

#[test]
fn a_client_that_reads_a_little_in_each_two_seconds_is_waited_for() {
    run(Family::Unix, async |world| {
        let (served, client, n) = left(&world, Server::default()).await;
        for period in 0..8 {
            // At the beginning of the period, or at its very end.
            let early = if period % 2 == 0 { MOMENT } else { LINGER };
            world.pass(LINGER - early).await;
            assert_bytes(period * PIECE, &client.take(PIECE).await);
            world.pass(early).await;
            assert_eq!(served.events(), [""; 0], "in period {period}");
        }
        // The client reads no more. Earlier progress does not count again.
        world.pass(LINGER - MOMENT).await;
        assert_eq!(served.events(), [""; 0]);
        world.pass(MOMENT).await;
        assert_eq!(served.events(), ["closed 1 error: timed out"]);
        let (received, _) = client.rest().await;
        assert!(8 * PIECE + received.len() < n);
        assert_bytes(8 * PIECE, &received);
    });
}

#[test]
fn progress_before_the_handler_returned_does_not_count() {
    run(Family::Unix, async |world| {
        let (clock, written) = (world.clock.clone(), Written::default());
        let sink = written.clone();
        let handler = async move |mut c: Connection| {
            *sink.lock().expect("no panic") = Some(stuff(&mut c.writer).await);
            clock.sleep(SECOND).await;
            Ok(())
        };
        let served = world.serve(Server::default(), handler).await;
        let client = served.connect();
        so_much(&written).await;
        client.take(PIECE).await;
        world.pass(SECOND).await;
        world.pass(LINGER - MOMENT).await;
        assert_eq!(served.events(), [""; 0], "from when it is gone");
        world.pass(MOMENT).await;
        assert_eq!(served.events(), ["closed 1 error: timed out"]);
    });
}

#[test]
fn a_client_that_keeps_reading_is_served_to_the_end() {
    for family in FAMILIES {
        run(family, async |world| {
            let (served, client, n) = left(&world, Server::default()).await;
            let (mut received, mut waits) = (0, 0);
            while received < n {
                // Enough that the kernel of the client announces room again.
                let part = client.take((n / 9).min(n - received)).await;
                assert_bytes(received, &part);
                received += part.len();
                world.pass(LINGER - MOMENT).await;
                waits += 1;
            }
            assert!(waits > 5);
            let (rest, end) = client.rest().await;
            assert!(rest.is_empty() && end.is_ok());
            drop(client);
            assert_eq!(served.until_closed().await, ["closed 1 handler"]);
        });
    }
}

#[test]
fn the_wait_for_its_end_begins_when_all_is_sent() {
    for family in FAMILIES {
        run(family, async |world| {
            let (served, client, n) = left(&world, Server::default()).await;
            world.pass(LINGER - MOMENT).await;
            assert_bytes(0, &client.take(n).await);
            world.pass(LINGER - MOMENT).await;
            let early = "it may still want to say something";
            assert_eq!(served.events(), [""; 0], "{early}");
            world.pass(MOMENT).await;
            assert_eq!(served.events(), ["closed 1 handler"]);
        });
    }
}

#[test]
fn the_wait_for_its_end_is_not_longer_when_all_was_sent_at_once() {
    run(Family::Unix, async |world| {
        let handler = async |mut c: Connection| c.writer.write_all(b"short").await;
        let served = world.serve(Server::default(), handler).await;
        let client = served.connect();
        assert_eq!(client.take(5).await, b"short");
        world.pass(LINGER - MOMENT).await;
        assert_eq!(served.events(), [""; 0]);
        world.pass(MOMENT).await;
        assert_eq!(served.events(), ["closed 1 handler"]);
    });
}
