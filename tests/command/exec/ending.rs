//! The ends of programs, and of the server while they run.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, test_kill_process};

use super::sh;
use crate::common::{Client, Halves, TIMEOUT, halves_after};

/// Reads one line.
fn line(client: &mut Client) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        client.0.read_exact(&mut byte).expect("it answers");
        if byte == *b"\n" {
            break;
        }
        line.push(byte[0]);
    }
    String::from_utf8(line).expect("text")
}

/// Waits until no process has this number, or only a zombie of another parent.
fn is_gone(pid: &str) -> bool {
    let number = Pid::from_raw(pid.parse().expect("a pid")).expect("a pid");
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let state = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
        let zombie = state.is_ok_and(|text| text.contains(") Z "));
        if zombie || test_kill_process(number).is_err() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_status_or_the_signal_is_logged_in_each_format() {
    for (format, status, signal) in [
        ("text", " status=3", " signal=9"),
        ("logfmt", " status=3", " signal=9"),
        ("json", ",\"status\":3}", ",\"signal\":9}"),
    ] {
        let mut server = Halves::start(&mut crate::common::halves(&super::args(
            &["--log", format],
            &["sh", "-c", "read word; $word"],
        )));
        let listening = match format {
            "json" => "{\"ts\":",
            "logfmt" => "ts=",
            _ => "listening",
        };
        let first = server.wait_for(listening);
        let port = crate::common::port_in(&first);
        server.at.push(([127, 0, 0, 1], port).into());
        let reason = if format == "json" {
            "\"reason\":\"child\""
        } else {
            "reason=child"
        };
        for (word, end) in [("exit 3\n", status), ("kill -9 $$\n", signal)] {
            let mut client = server.client();
            let script = word.replace("$$", "0");
            client.0.write_all(script.as_bytes()).expect("it reads");
            client.rest();
            let closed = loop {
                let line = server.wait_for("");
                if line.contains("closed") {
                    break line;
                }
            };
            assert!(closed.contains(reason) && closed.ends_with(end), "{closed}");
        }
        server.end();
    }
}

#[test]
fn programs_finish_in_a_drain() {
    let mut server = sh(&[], "read line; echo $line");
    let mut client = server.client();
    // It has been accepted.
    let mut second = server.client();
    second.0.write_all(b"second\n").expect("it reads");
    assert_eq!(second.rest(), b"second\n");
    server.signal(Signal::TERM);
    server.wait_for("draining connections=1 ");
    client.0.write_all(b"first\n").expect("it reads");
    assert_eq!(client.rest(), b"first\n");
    assert_eq!(server.code(), Some(0));
    assert!(
        server.has_logged("ended finished=2 aborted=0"),
        "{:#?}",
        server.log
    );
}

#[test]
fn a_program_may_end_in_order_at_the_drain_timeout() {
    let script = "trap 'echo bye; kill $!; exit 5' TERM; echo ready; sleep 1000 & wait";
    let mut server = sh(&["--drain-timeout=50ms"], script);
    let mut client = server.client();
    assert_eq!(line(&mut client), "ready");
    server.signal(Signal::TERM);
    assert_eq!(line(&mut client), "bye");
    assert_eq!(server.code(), Some(3), "{:#?}", server.log);
    let closed = server.log.iter().find(|line| line.starts_with("closed"));
    let closed = closed.expect("a line");
    assert!(closed.contains(" reason=aborted "), "{closed}");
    assert!(closed.ends_with(" status=5"), "{closed}");
}

#[test]
fn a_program_that_ignores_term_is_killed() {
    let script = "trap '' TERM; exec 2>/dev/null; echo $$; while :; do sleep 1000; done";
    let mut server = sh(&["--drain-timeout=50ms"], script);
    let mut client = server.client();
    let pid = line(&mut client);
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(3), "{:#?}", server.log);
    assert!(is_gone(&pid));
    assert!(
        server.has_logged("ended finished=0 aborted=1"),
        "{:#?}",
        server.log
    );
}

#[test]
fn a_second_signal_kills_programs() {
    let mut server = sh(&[], "echo $$; exec sleep 1000");
    let mut client = server.client();
    let pid = line(&mut client);
    server.signal(Signal::INT);
    server.wait_for("draining");
    server.signal(Signal::INT);
    assert_eq!(server.code(), Some(130));
    assert!(is_gone(&pid));
}

#[test]
fn grandchildren_are_killed_with_their_group() {
    let mut server = sh(&[], "sleep 1000 & echo $!; read line");
    let mut client = server.client();
    let pid = line(&mut client);
    assert!(client.finish().is_empty());
    let closed = server.wait_for("closed conn=1");
    assert!(closed.contains(" reason=child "), "{closed}");
    assert!(is_gone(&pid));
    server.end();
}

#[test]
fn a_program_ends_at_the_lifetime() {
    let mut server = sh(&["--lifetime=200ms"], "echo $$; exec sleep 1000");
    let mut client = server.client();
    let pid = line(&mut client);
    let _ = client.0.read_to_end(&mut Vec::new());
    let closed = server.wait_for("closed conn=1");
    assert!(closed.contains(" reason=lifetime "), "{closed}");
    assert!(is_gone(&pid));
    server.end();
}

#[test]
fn a_killed_server_resets_no_program() {
    let mut server = sh(&[], "echo $$; read line; echo $line");
    let mut client = server.client();
    line(&mut client);
    server.signal(Signal::KILL);
    // Without the rest of its log: the program has its standard error.
    server.child().wait().expect("a child");
    client.0.write_all(b"hello\n").expect("it reads");
    assert_eq!(client.rest(), b"hello\n");
}

#[test]
fn more_connections_than_the_maximum_wait() {
    let mut server = sh(&["--max-connections=1"], "echo ready; cat");
    let mut first = server.client();
    assert_eq!(line(&mut first), "ready");
    let mut second = server.client();
    server.wait_for("limit reached=");
    first.finish();
    assert_eq!(line(&mut second), "ready");
    drop(second);
    server.end();
}

#[test]
fn few_descriptors_hold_clients_back_and_fail_none() {
    for options in [&[][..], &["--min-rate=1"]] {
        let program = ["sh", "-c", "echo ready; cat"];
        let args = super::args(options, &program);
        let mut server = Halves::start(&mut halves_after("ulimit -n 64", &args));
        server.wait_until_listening(1);
        let mut clients: Vec<_> = (0..60).map(|_| server.client()).collect();
        // Each that ends makes room for another one.
        for mut client in clients.drain(..) {
            assert_eq!(line(&mut client), "ready");
            assert!(client.finish().is_empty());
        }
        server.end();
        assert_eq!(server.count("closed"), 60, "{:#?}", server.log);
        assert!(!server.has_logged("error"), "{:#?}", server.log);
        assert!(
            server.has_logged("limit reached=\"max_connections="),
            "{:#?}",
            server.log
        );
    }
}
