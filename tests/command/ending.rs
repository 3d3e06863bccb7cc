//! The end of the command, and its exit codes.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::{Client, serve, stuck};

#[test]
fn without_connections_a_signal_ends_it_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = serve(&["upper"]);
        server.signal(signal);
        assert_eq!(server.code(), Some(0));
        let end = &server.log[server.log.len() - 2..];
        let draining = "draining connections=0 deadline=30s (signal again to cut connections now)";
        assert_eq!(end, [draining, "ended finished=0 aborted=0"]);
        assert!(TcpStream::connect(server.at[0]).is_err());
    }
}

#[test]
fn an_idle_client_is_closed_long_before_the_deadline() {
    let mut server = serve(&["upper"]);
    let mut client = server.client();
    client.ask("here");
    let begin = Instant::now();
    server.signal(Signal::TERM);
    server.wait_for("draining connections=1 deadline=30s (signal again to cut connections now)");
    assert_eq!(client.rest(), b"");
    assert_eq!(server.code(), Some(0));
    assert!(
        begin.elapsed() < Duration::from_secs(15),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(server.count("closed conn=1 "), 1);
    assert!(server.has_logged("reason=drained"), "{:#?}", server.log);
    assert_eq!(server.count("ended finished=1 aborted=0"), 1);
}

#[test]
fn a_transfer_is_finished() {
    // More than the kernel keeps for two sockets, so that the server is in the middle of a write.
    const LENGTH: usize = 32 * 1024 * 1024;
    let mut server = serve(&["upper"]);
    let mut client = server.client();
    client.ask("here");
    let mut stream = client.0.try_clone().expect("a socket");
    let sender = thread::spawn(move || {
        let sent = stream.write_all(&vec![b'x'; LENGTH]);
        sent.and_then(|()| stream.shutdown(Shutdown::Write))
    });
    server.signal(Signal::TERM);
    server.wait_for("draining connections=1 ");
    let answer = client.rest();
    assert!(answer.len() == LENGTH && answer.iter().all(|&byte| byte == b'X'));
    sender.join().expect("no panic").expect("it reads");
    assert_eq!(server.code(), Some(0));
    assert_eq!(server.count("ended finished=1 aborted=0"), 1);
    assert!(server.has_logged("reason=eof"), "{:#?}", server.log);
}

#[test]
fn no_client_is_accepted_in_a_drain() {
    let mut server = serve(&["upper"]);
    let _stuck = stuck(server.at[0]);
    server.signal(Signal::TERM);
    server.wait_for("draining");
    // The listener is closed before this line.
    assert!(TcpStream::connect(server.at[0]).is_err());
}

#[test]
fn clients_that_connect_around_the_signal_are_answered_or_refused() {
    let mut server = serve(&["echo"]);
    let (at, connected) = (server.at[0], AtomicUsize::new(0));
    let clients = || {
        while let Ok(stream) = TcpStream::connect(at) {
            connected.fetch_add(1, Ordering::Relaxed);
            let mut client = Client::within(stream);
            client.0.write_all(b"x").expect("no reset");
            assert_eq!(client.finish(), b"x");
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(clients);
        }
        while connected.load(Ordering::Relaxed) < 2000 {
            thread::yield_now();
        }
        server.signal(Signal::TERM);
    });
    assert_eq!(server.code(), Some(0));
}

#[test]
fn a_second_signal_forces() {
    for (first, second, code) in [
        (Signal::TERM, Signal::TERM, 143),
        (Signal::INT, Signal::INT, 130),
        (Signal::TERM, Signal::INT, 130),
    ] {
        let mut server = serve(&["upper"]);
        let _stuck = stuck(server.at[0]);
        server.signal(first);
        server
            .wait_for("draining connections=1 deadline=30s (signal again to cut connections now)");
        let begin = Instant::now();
        server.signal(second);
        assert_eq!(server.code(), Some(code));
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "{:?}",
            begin.elapsed()
        );
        assert_eq!(server.count("ended finished=0 aborted=1"), 1);
        assert!(server.has_logged("reason=aborted"), "{:#?}", server.log);
    }
}

#[test]
fn the_drain_deadline_aborts_connections() {
    let mut server = serve(&["upper", "--drain-timeout", "300ms"]);
    let _stuck = stuck(server.at[0]);
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(3));
    assert_eq!(
        server.count("draining connections=1 deadline=300ms (signal again to cut connections now)"),
        1
    );
    assert_eq!(server.count("closed conn=1 "), 1);
    assert_eq!(server.count("ended finished=0 aborted=1"), 1);
}

#[test]
fn a_stuck_client_ends_the_drain_on_time() {
    let mut server = serve(&["upper", "--drain-timeout", "2"]);
    let _stuck = stuck(server.at[0]);
    let begin = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(3));
    let took = begin.elapsed();
    let _ = writeln!(std::io::stderr(), "a drain of 2 s took {took:?}");
    // 2.5 s on an idle machine.
    assert!((2..5).contains(&took.as_secs()), "{took:?}");
    assert_eq!(server.count("ended finished=0 aborted=1"), 1);
}

#[test]
fn a_long_drain_reports_its_progress() {
    let mut server = serve(&["upper", "--drain-timeout", "8"]);
    let _stuck = stuck(server.at[0]);
    server.signal(Signal::TERM);
    assert_eq!(
        server.wait_for("draining connections=1 left"),
        "draining connections=1 left=3s"
    );
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(143));
}
