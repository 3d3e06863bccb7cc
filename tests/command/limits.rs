//! At the limits: clients wait, and are served later.

use std::io::Write;
use std::sync::Mutex;
use std::thread;

use rustix::process::Signal;

use crate::common::{Client, Halves, halves, halves_after, with_port};

/// So many clients that have sent something.
fn clients(server: &Halves, count: usize) -> Vec<Client> {
    let connect = |_| {
        let mut client = server.client();
        client.0.write_all(b"h").expect("the kernel takes it");
        client
    };
    (0..count).map(connect).collect()
}

#[test]
fn more_clients_than_descriptors_are_all_served() {
    for (options, limit) in [
        (&["upper"][..], "max_connections=40"),
        (
            &["upper", "--max-connections", "1000"],
            "RLIMIT_NOFILE (EMFILE)",
        ),
    ] {
        let mut server = Halves::start(&mut halves_after("ulimit -n 64", &with_port(options)));
        server.wait_until_listening(1);
        let waiting = clients(&server, 200);
        server.wait_for(&format!("limit reached=\"{limit}\""));
        for client in waiting {
            assert_eq!(client.finish(), b"H");
        }
        server.wait_for(&format!("limit over=\"{limit}\""));
        server.signal(Signal::TERM);
        assert_eq!(server.code(), Some(0));
        assert_eq!(server.count("limit reached"), 1, "{:#?}", server.log);
        assert_eq!(server.count("limit over"), 1);
        assert_eq!(server.count("closed"), 200);
    }
}

#[test]
fn the_soft_limit_of_open_files_is_raised() {
    let command = &mut halves_after("ulimit -Sn 64", &with_port(&["upper"]));
    let mut server = Halves::start(command);
    server.wait_until_listening(1);
    for client in &mut clients(&server, 100) {
        assert_eq!(client.ask("ello"), "HELL");
    }
    assert_eq!(server.count("limit"), 0);
}

#[test]
fn one_connection_at_a_time_is_shared_by_two_listeners() {
    let listen = ["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"];
    let args = [&["serve", "upper", "--max-connections", "1"], &listen[..]].concat();
    let mut server = Halves::start(&mut halves(&args));
    server.wait_until_listening(2);
    let mut first = server.client();
    assert_eq!(first.ask("first"), "FIRST");
    let waiting = [("this", 0), ("this", 0), ("other", 1)]
        .map(|(listener, n)| (listener, Client::new(server.at[n])));
    first.finish();
    let served = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for (listener, mut client) in waiting {
            let served = &served;
            scope.spawn(move || {
                assert_eq!(client.ask("now"), "NOW");
                served.lock().expect("no panic").push(listener);
                assert_eq!(client.finish(), b"");
            });
        }
    });
    let served = served.into_inner().expect("no panic");
    assert_eq!(served.len(), 3);
    // The client of the other listener comes before the next of this one. On the portable path the
    // thread of async-io may not have reported it yet.
    if cfg!(not(halves_portable)) {
        assert_eq!(served[0], "other");
    }
    server.wait_for("limit over=\"max_connections=1\"");
}
