//! A target that fails is left out, and probed.

use std::time::Duration;

use halves::service::{Health, Relay};
use tempfile::TempDir;

use super::targets::{Origin, name_of_target, serve, target};
use crate::support::harness::sockets::{Family, eventually, run};
use crate::support::place;

const SECOND: Duration = Duration::from_secs(1);

/// An address at which nothing listens, until the test does.
fn no_socket(dir: &TempDir) -> String {
    dir.path().join("down").to_str().expect("text").to_owned()
}

#[test]
fn a_target_that_refuses_is_left_out_and_probed_when_it_is_due() {
    run(Family::Tcp, async |world| {
        let up = Origin::new(&world.ex, b"u").await;
        let dir = place::dir();
        let down = no_socket(&dir);
        let served = serve(&world, Relay::to(target(&down)).and(up.target())).await;
        assert_eq!(name_of_target(&served).await, b'u', "the next is tried");
        // Each pause is as long as that before, and again.
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            world.pass(SECOND * pause - Duration::from_nanos(1)).await;
            for _ in 0..3 {
                assert_eq!(name_of_target(&served).await, b'u');
            }
            world.pass(Duration::from_nanos(1)).await;
            // This one probes.
            let client = served.connect();
            assert_eq!(client.take(1).await, b"u");
            world.settle().await;
            drop(client);
            served.until_closed().await;
        }
        let again = Origin::at(&world.ex, b"d", &down).await;
        assert_eq!(name_of_target(&served).await, b'u', "not yet");
        assert_eq!(again.accepted(), 0);
        world.pass(SECOND * 30).await;
        // The probe is beside this one, and may be over first.
        let client = served.connect();
        client.take(1).await;
        eventually(|| (again.accepted() > 0).then_some(())).await;
        world.settle().await;
        let names = [name_of_target(&served).await, name_of_target(&served).await];
        assert!(names.contains(&b'd'), "{names:?}");
        drop(client);
    });
}

#[test]
fn a_health_check_by_line_wants_a_line() {
    run(Family::Tcp, async |world| {
        let up = Origin::new(&world.ex, b"u").await;
        let dir = place::dir();
        let down = no_socket(&dir);
        let relay = Relay::to(target(&down)).and(up.target());
        let served = serve(&world, relay.health(Health::Line)).await;
        assert_eq!(name_of_target(&served).await, b'u');
        for (banner, pause, passes) in [(&b"d"[..], 1, false), (b"d\n", 2, true)] {
            let again = Origin::at(&world.ex, banner, &down).await;
            world.pass(SECOND * pause).await;
            let client = served.connect();
            assert_eq!(client.take(1).await, b"u");
            eventually(|| (again.accepted() == 1).then_some(())).await;
            // The timeout of the line.
            world.pass(SECOND * 5).await;
            drop(client);
            served.until_closed().await;
            let names = [name_of_target(&served).await, name_of_target(&served).await];
            drop(again);
            world.settle().await;
            assert_eq!(names.contains(&b'd'), passes, "{names:?}");
        }
    });
}

#[test]
fn a_probe_goes_on_beside_the_next_connection() {
    run(Family::Tcp, async |world| {
        let up = Origin::new(&world.ex, b"u").await;
        let dir = place::dir();
        let down = no_socket(&dir);
        let relay = Relay::to(target(&down)).and(up.target());
        let relay = relay.health(Health::Line).connect_timeout(SECOND * 5);
        let served = serve(&world, relay).await;
        assert_eq!(name_of_target(&served).await, b'u');
        // It takes connections, and sends no line.
        let silent = Origin::at(&world.ex, b"", &down).await;
        world.pass(SECOND).await;
        for _ in 0..5 {
            assert_eq!(name_of_target(&served).await, b'u');
            eventually(|| (silent.accepted() > 0).then_some(())).await;
        }
        assert_eq!(silent.accepted(), 1);
        world.pass(SECOND * 5).await;
        // The time for the line is over, so the next pause of 2 seconds begins.
        for _ in 0..3 {
            assert_eq!(name_of_target(&served).await, b'u');
        }
        world.pass(SECOND * 2 - Duration::from_nanos(1)).await;
        assert_eq!(name_of_target(&served).await, b'u');
        assert_eq!(silent.accepted(), 1);
        world.pass(Duration::from_nanos(1)).await;
        assert_eq!(name_of_target(&served).await, b'u');
        eventually(|| (silent.accepted() == 2).then_some(())).await;
    });
}

#[test]
fn targets_that_are_all_left_out_are_tried_all_the_same() {
    run(Family::Tcp, async |world| {
        let dir = place::dir();
        let down = no_socket(&dir);
        let served = serve(&world, Relay::to(target(&down))).await;
        let client = served.connect();
        assert!(served.until_closed().await[0].starts_with("closed 1 refused"));
        drop(client);
        let again = Origin::at(&world.ex, b"a", &down).await;
        assert_eq!(name_of_target(&served).await, b'a');
        assert_eq!(again.accepted(), 1);
    });
}

#[test]
fn the_pause_between_probes_doubles_up_to_30_seconds() {
    run(Family::Tcp, async |world| {
        let up = Origin::new(&world.ex, b"u").await;
        let dir = place::dir();
        let down = no_socket(&dir);
        let relay = Relay::to(target(&down)).and(up.target());
        let served = serve(&world, relay.health(Health::Line)).await;
        assert_eq!(name_of_target(&served).await, b'u');
        // It takes connections, and never sends a line.
        let silent = Origin::at(&world.ex, b"d", &down).await;
        for (probes, pause) in [1, 2, 4, 8, 16, 30, 30].into_iter().enumerate() {
            world.pass(SECOND * pause - Duration::from_nanos(1)).await;
            assert_eq!(name_of_target(&served).await, b'u');
            assert_eq!(silent.accepted(), probes, "before {pause} s");
            world.pass(Duration::from_nanos(1)).await;
            let client = served.connect();
            assert_eq!(client.take(1).await, b"u");
            eventually(|| (silent.accepted() > probes).then_some(())).await;
            // The timeout of the line.
            world.pass(SECOND * 5).await;
            drop(client);
            served.until_closed().await;
        }
    });
}
