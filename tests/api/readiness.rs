//! The readiness of a server, and the delay between the end of its readiness and its last accept.

use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::memory::{self, Connector};
use halves::{Server, Shutdown};

use crate::support::harness::script::uppercase;
use crate::support::harness::{Served, World};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_nanos(1);
const DRAIN_DELAY: Duration = Duration::from_secs(5);

fn serve(world: &World, delay: Duration) -> (Served, Connector, Shutdown) {
    let shutdown = Shutdown::default();
    let server = Server::default().shutdown(shutdown.clone());
    let (served, connector) = world.serve_memory(server.drain_delay(delay), uppercase);
    (served, connector, shutdown)
}

/// Sends a request on a new connection. Panics if there is no answer.
fn is_served(world: &World, connector: &Connector) -> bool {
    let mut client = world.connect(connector);
    world.now(async move {
        let mut answer = [0];
        client.writer.write_all(b"x").await.expect("it is read");
        client
            .reader
            .read_exact(&mut answer)
            .await
            .expect("it is answered");
        &answer == b"X"
    })
}

fn is_refused(world: &World, connector: &Connector) -> bool {
    let connector = connector.clone();
    let refused = world.now(async move { connector.connect().await });
    refused.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[test]
fn a_server_is_ready_from_its_first_accept_until_it_is_shut_down() {
    let world = World::new();
    let shutdown = Shutdown::default();
    let server = Server::default().shutdown(shutdown.clone());
    let handle = server.handle();
    assert!(!handle.is_ready(), "it does not serve yet");
    let (served, connector) = world.serve_memory(server, uppercase);
    assert!(handle.is_ready());
    let client = world.connect(&connector);
    assert!(handle.is_ready());
    shutdown.drain();
    world.settle();
    assert!(!handle.is_ready() && !served.serving.is_finished());
    drop(client);
    world.settle();
    assert!(!handle.is_ready() && served.serving.is_finished());
}

#[test]
fn a_server_whose_listener_has_ended_is_not_ready() {
    let world = World::new();
    let (served, connector, _) = serve(&world, DRAIN_DELAY);
    let _client = world.connect(&connector);
    drop(connector);
    world.settle();
    assert!(!served.handle.is_ready() && !served.serving.is_finished());
}

#[test]
fn a_server_whose_future_is_dropped_is_not_ready() {
    let world = World::new();
    let (served, _connector, _) = serve(&world, DRAIN_DELAY);
    let Served {
        serving, handle, ..
    } = served;
    assert!(handle.is_ready());
    drop(serving);
    world.settle();
    assert!(!handle.is_ready());
}

#[test]
fn a_server_that_is_shut_down_before_it_starts_is_never_ready() {
    let world = World::new();
    let (listener, connector) = memory::listener(1);
    let shutdown = Shutdown::default();
    shutdown.drain();
    let server = Server::default()
        .shutdown(shutdown)
        .drain_delay(DRAIN_DELAY);
    let served = world.serve(server, listener, uppercase);
    assert!(!served.handle.is_ready());
    world.pass(DRAIN_DELAY);
    assert!(is_refused(&world, &connector));
}

#[test]
fn during_the_drain_delay_clients_are_served_and_the_server_is_not_ready() {
    let world = World::new();
    let (served, connector, shutdown) = serve(&world, DRAIN_DELAY);
    shutdown.drain();
    world.settle();
    assert!(!served.handle.is_ready());
    assert!(is_served(&world, &connector));
    world.pass(DRAIN_DELAY - MOMENT);
    assert!(is_served(&world, &connector));
    assert!(!served.handle.is_ready());
    let stays = world.connect(&connector);
    assert!(
        !served.handle.shutdown().is_draining(),
        "handlers do not notice it yet"
    );
    world.pass(MOMENT);
    assert!(is_refused(&world, &connector));
    assert!(served.handle.shutdown().is_draining());
    drop(stays);
    world.settle();
    let events = [
        "delaying 5s",
        "closed 1 eof",
        "closed 2 eof",
        "draining 1 within 30s",
        "closed 3 eof",
        "ended 1 0",
    ];
    assert_eq!(served.events(), events);
}

#[test]
fn the_drain_deadline_counts_from_the_end_of_the_delay() {
    let world = World::new();
    let (served, connector, shutdown) = serve(&world, DRAIN_DELAY);
    let mut talks = world.connect(&connector);
    shutdown.drain();
    world.pass(DRAIN_DELAY);
    for _ in 0..60 {
        // It sends something every half second, so it is never idle.
        talks = world.now(async move {
            talks.writer.write_all(b"x").await.expect("it is read");
            talks
        });
        world.pass(SECOND / 2 - MOMENT);
    }
    world.pass(MOMENT * 59);
    assert!(!served.serving.is_finished());
    world.pass(MOMENT);
    assert_eq!(world.report(served).aborted, 1);
}

#[test]
fn a_second_signal_during_the_delay_ends_everything_at_once() {
    let world = World::new();
    let (served, connector, shutdown) = serve(&world, DRAIN_DELAY);
    let client = world.connect(&connector);
    shutdown.drain();
    world.pass(SECOND);
    shutdown.abort();
    world.settle();
    let events = [
        "delaying 5s",
        "draining 1 within 30s",
        "closed 1 aborted",
        "ended 0 1",
    ];
    assert_eq!(served.events(), events);
    assert!(is_refused(&world, &connector));
    assert_eq!(world.report(served).aborted, 1);
    drop(client);
}

#[test]
fn a_forced_shutdown_has_no_delay() {
    let world = World::new();
    let (served, connector, shutdown) = serve(&world, DRAIN_DELAY);
    let _client = world.connect(&connector);
    shutdown.abort();
    world.settle();
    assert!(is_refused(&world, &connector));
    let events = ["draining 1 within 30s", "closed 1 aborted", "ended 0 1"];
    assert_eq!(served.events(), events);
}

#[test]
fn a_handle_cuts_the_delay_short() {
    let world = World::new();
    let (served, connector, shutdown) = serve(&world, DRAIN_DELAY);
    let client = world.connect(&connector);
    shutdown.drain();
    world.pass(SECOND);
    served.handle.shutdown().drain();
    world.settle();
    assert!(is_refused(&world, &connector));
    assert_eq!(served.events(), ["delaying 5s", "draining 1 within 30s"]);
    drop(client);
}
