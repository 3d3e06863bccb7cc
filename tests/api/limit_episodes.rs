//! A limit that holds connections back is reported once when it is reached, and once when it is
//! over.

use std::time::Duration;

use halves::Server;
use halves::listener::memory::MemoryConnection;
use halves::server::Limit;
use rustix::io::Errno;

use crate::support::harness::script::{Script, ask, uppercase};
use crate::support::harness::{Served, World};

/// The time without a waiting connection after which a limit is over.
const CALM_TIME: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_nanos(1);

const CONNECTION_LIMIT: &str = "max_connections=1";
const FILE_LIMIT: &str = "RLIMIT_NOFILE (EMFILE)";

/// A server with room for one connection, which reports only its limits and its end.
struct One {
    world: World,
    script: Script,
    served: Served,
}

impl One {
    fn new() -> Self {
        let (world, script) = (World::new(), Script::default());
        let server = Server::default().max_connections(1);
        let served = world.serve(server, script.clone(), uppercase);
        Self {
            world,
            script,
            served,
        }
    }

    /// A client connects, is served, and leaves.
    fn visit(&self) {
        let client = self.script.connect();
        assert_eq!(self.world.now(ask(client, "a")), "A");
    }

    fn stay(&self) -> MemoryConnection {
        let client = self.script.connect();
        self.world.settle();
        client
    }

    fn limits(&self) -> Vec<String> {
        self.world.settle();
        let mut events = self.served.events();
        events.retain(|event| !event.starts_with("closed"));
        events
    }
}

#[test]
fn exhausted_descriptors_are_waited_for_and_reported_once() {
    let world = World::new();
    let script = Script::default();
    let served = world.serve(Server::default(), script.clone(), uppercase);
    for _ in 0..12 {
        script.fail(Errno::MFILE);
    }
    let mut pauses = Vec::new();
    for _ in 0..12 {
        world.settle();
        let (polls, at) = (script.polls(), world.clock.now());
        assert!(world.manual.advance_to_next(), "the server sleeps");
        assert_eq!(script.polls(), polls, "it does not ask meanwhile");
        pauses.push((world.clock.now() - at).as_millis());
    }
    assert_eq!(pauses[..8], [5, 10, 20, 40, 80, 160, 320, 640]);
    assert_eq!(pauses[8..], [1000; 4]);
    assert_eq!(served.events(), ["reached RLIMIT_NOFILE (EMFILE)"]);
    let client = script.connect();
    assert_eq!(world.now(ask(client, "back")), "BACK");
    assert_eq!(served.events(), ["closed 1 eof"]);
    world.pass(CALM_TIME);
    assert_eq!(served.events(), ["over RLIMIT_NOFILE (EMFILE)"]);
    assert!(
        !world.manual.advance_to_next(),
        "and nothing sleeps any more"
    );
}

#[test]
fn each_exhausted_resource_is_named() {
    for (errno, name) in [
        (Errno::MFILE, "RLIMIT_NOFILE (EMFILE)"),
        (Errno::NFILE, "fs.file-max (ENFILE)"),
        (Errno::NOSPC, "fs.epoll.max_user_watches (ENOSPC)"),
        (Errno::NOBUFS, "memory (ENOBUFS, ENOMEM)"),
        (Errno::NOMEM, "memory (ENOBUFS, ENOMEM)"),
    ] {
        let world = World::new();
        let script = Script::default();
        let served = world.serve(Server::default(), script.clone(), uppercase);
        script.fail(errno);
        world.settle();
        assert_eq!(served.events(), [format!("reached {name}")]);
        assert!(!served.serving.is_finished());
    }
}

#[test]
fn one_connection_below_the_limit_is_not_reported() {
    let world = World::new();
    let script = Script::default();
    let served = world.serve(
        Server::default().max_connections(3),
        script.clone(),
        uppercase,
    );
    let clients = [script.connect(), script.connect()];
    world.settle();
    assert_eq!((served.handle.stats().open, clients.len()), (2, 2));
    assert!(served.events().is_empty());
}

#[test]
fn successive_clients_at_the_limit_are_reported_as_one() {
    let one = One::new();
    for _ in 0..50 {
        one.visit();
    }
    assert_eq!(one.limits(), [format!("reached {CONNECTION_LIMIT}")]);
    one.world.pass(CALM_TIME);
    assert_eq!(one.limits(), [format!("over {CONNECTION_LIMIT}")]);
    assert_eq!(one.served.handle.stats().limit_episodes, 1);
    assert!(!one.world.manual.advance_to_next(), "nothing sleeps now");
}

#[test]
fn a_limit_reached_again_within_a_second_restarts_the_second() {
    let one = One::new();
    one.visit();
    one.world.pass(CALM_TIME - MOMENT);
    one.visit();
    one.world.pass(CALM_TIME - MOMENT);
    assert_eq!(one.limits(), [format!("reached {CONNECTION_LIMIT}")]);
    one.world.pass(MOMENT);
    assert_eq!(one.limits(), [format!("over {CONNECTION_LIMIT}")]);
    one.visit();
    assert_eq!(one.limits(), [format!("reached {CONNECTION_LIMIT}")]);
    assert_eq!(one.served.handle.stats().limit_episodes, 2);
}

#[test]
fn a_long_wait_at_the_limit_is_reported_as_one() {
    let one = One::new();
    let client = one.stay();
    one.world.pass(CALM_TIME * 100);
    assert_eq!(one.limits(), [format!("reached {CONNECTION_LIMIT}")]);
    drop(client);
    one.world.pass(CALM_TIME);
    assert_eq!(one.limits(), [format!("over {CONNECTION_LIMIT}")]);
}

#[test]
fn the_end_of_a_limit_is_reported_before_another_begins() {
    let one = One::new();
    one.script.fail(Errno::MFILE);
    let client = one.stay();
    assert_eq!(one.limits(), [format!("reached {FILE_LIMIT}")]);
    one.world.pass(Duration::from_millis(5));
    assert_eq!(
        one.limits(),
        [
            format!("over {FILE_LIMIT}"),
            format!("reached {CONNECTION_LIMIT}")
        ]
    );
    one.script.fail(Errno::NFILE);
    drop(client);
    assert_eq!(
        one.limits(),
        [
            format!("over {CONNECTION_LIMIT}"),
            format!("reached {}", Limit::SystemFiles)
        ]
    );
    one.world.pass(Duration::from_millis(5));
    one.world.pass(CALM_TIME);
    assert_eq!(one.limits(), [format!("over {}", Limit::SystemFiles)]);
    assert_eq!(one.served.handle.stats().limit_episodes, 3);
}

#[test]
fn the_accept_loop_reports_the_end_of_each_limit() {
    // Ended while the server waits for room, while it pauses, and while the limit is not in use.
    let one = One::new();
    let client = one.stay();
    one.served.handle.shutdown().drain();
    let limits = [
        format!("reached {CONNECTION_LIMIT}"),
        format!("over {CONNECTION_LIMIT}"),
        "draining 1 within 30s".into(),
    ];
    assert_eq!(one.limits(), limits);
    drop(client);

    let one = One::new();
    one.script.fail(Errno::MFILE);
    one.world.settle();
    one.served.handle.shutdown().drain();
    let limits = one.limits();
    assert_eq!(
        limits[..2],
        [
            format!("reached {FILE_LIMIT}"),
            format!("over {FILE_LIMIT}")
        ]
    );

    let one = One::new();
    one.visit();
    one.served.handle.shutdown().drain();
    let limits = one.limits();
    assert_eq!(
        limits[..2],
        [
            format!("reached {CONNECTION_LIMIT}"),
            format!("over {CONNECTION_LIMIT}")
        ]
    );
}

#[test]
fn a_reached_limit_ends_with_its_listener() {
    for step in [Ok(None), Err(Errno::BADF.into())] {
        let one = One::new();
        one.visit();
        one.script.push(step);
        let limits = one.limits();
        assert_eq!(
            limits[..2],
            [
                format!("reached {CONNECTION_LIMIT}"),
                format!("over {CONNECTION_LIMIT}")
            ]
        );
        assert!(one.served.serving.is_finished());
    }
}
