//! Requests that change the server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;

use super::controlled;
use crate::common::{Client, stuck};
use crate::session::lacks;
use crate::support::place::dir;
use crate::support::skip::skip;

#[test]
fn a_connection_is_closed_or_reset_by_its_number() {
    let mut server = controlled(&["upper"]);
    let mut control = server.connect();
    let mut clients = [server.server.client(), server.server.client()];
    for client in &mut clients {
        client.ask("hello");
    }
    let [mut first, mut second] = clients;
    assert_eq!(control.ask_one("close 1"), json!({ "closed": 1 }));
    assert_eq!(first.rest(), b"");
    let closed = server.server.wait_for("closed conn=1 ");
    assert!(closed.contains("reason=closed"), "{closed}");
    assert_eq!(control.ask_one("kill 2"), json!({ "killed": 2 }));
    let reset = std::io::Read::read(&mut second.0, &mut [0]);
    assert_eq!(
        reset.expect_err("a reset").kind(),
        std::io::ErrorKind::ConnectionReset
    );
    let closed = server.server.wait_for("closed conn=2 ");
    assert!(closed.contains("reason=killed"), "{closed}");
    assert!(server.server.has_logged("control order=\"close 1\" uid="));
    server.server.end();
    assert!(!server.path.exists(), "its file is removed");
}

#[test]
fn a_limit_is_set_and_the_others_stay() {
    let server = controlled(&["upper", "--lifetime", "1h", "--accept-rate", "1000"]);
    let mut control = server.connect();
    let mut client = server.server.client();
    client.ask("hello");
    assert_eq!(control.ask_one("show 1")["deadline"], "lifetime");
    assert_eq!(
        control.ask_one("set idle-timeout 5m"),
        json!({ "set": true })
    );
    assert_eq!(control.ask_one("show 1")["deadline"], "idle");
    control.ask_one("set idle-timeout 0");
    assert_eq!(control.ask_one("show 1")["deadline"], "lifetime");
    // The present connection counts.
    control.ask_one("set max-per-source 1");
    assert_eq!(server.server.client().rest(), b"");
    control.ask_one("set max-per-source 2");
    server.server.client().ask("hello");
}

#[test]
fn a_reload_reports_its_numbers_or_the_bad_file() {
    let folder = dir();
    let rules = folder.path().join("rules");
    fs::write(&rules, "192.0.2.0/24\n").expect("a file");
    let mut server = controlled(&["upper", "--deny", &format!("@{}", rules.display())]);
    let mut control = server.connect();
    let numbers = |rules: u32| json!({ "rules": rules, "certificates": null });
    assert_eq!(control.ask_one("reload"), numbers(1));
    fs::write(&rules, "192.0.2.0/24\n127.0.0.0/8\n").expect("a file");
    assert_eq!(control.ask_one("reload"), numbers(2));
    assert_eq!(Client::new(server.server.at[0]).rest(), b"");
    fs::write(&rules, "192.0.2.0/24\nx\n").expect("a file");
    let error = control.ask_one("reload")["error"].to_string();
    assert!(error.contains("rules:2: "), "{error}");
    server.server.wait_for("reload_failed");
}

/// Holds a lease of a file: an open waits until the end of standard input.
const LEASE: &str = "
import fcntl, signal, sys
signal.signal(signal.SIGIO, lambda *_: print('asked', flush=True))
file = open(sys.argv[1], 'r+')
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.read()
";

#[test]
fn a_reload_that_waits_for_a_file_holds_up_no_other_request() {
    let test = "a_reload_that_waits_for_a_file_holds_up_no_other_request";
    if lacks("python3", test) {
        return;
    }
    let folder = dir();
    let rules = folder.path().join("rules");
    fs::write(&rules, "192.0.2.0/24\n").expect("a file");
    let server = controlled(&["upper", "--deny", &format!("@{}", rules.display())]);
    let mut python = Command::new("python3");
    python.args(["-c", LEASE]).arg(&rules);
    let piped = python.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = piped.stderr(Stdio::null()).spawn().expect("it starts");
    let mut lines = BufReader::new(holder.stdout.take().expect("a pipe")).lines();
    if lines.next().is_none() {
        holder.wait().expect("it has ended");
        return skip(test, "the file system has no leases");
    }
    let mut control = server.connect();
    control.send("reload\n");
    lines.next().expect("a line").expect("the server opens it");
    assert_eq!(server.connect().ask_one("stats")["open"], 0);
    drop(holder.stdin.take());
    assert_eq!(control.answer()[0]["rules"], 1);
    holder.wait().expect("it has ended");
}

#[test]
fn a_drain_lets_connections_finish_and_the_socket_answers_until_then() {
    let mut server = controlled(&["upper"]);
    let mut control = server.connect();
    let mut client = server.server.client();
    client.ask("hello");
    assert_eq!(control.ask_one("drain"), json!({ "draining": true }));
    server.server.wait_for("draining connections=1 ");
    assert_eq!(control.ask_one("stats")["phase"], "draining");
    assert_eq!(server.connect().ask("list").len(), 1);
    client.ask("more");
    client.finish();
    assert_eq!(server.server.code(), Some(0));
    assert!(!server.path.exists(), "its file is removed");
}

#[test]
fn an_abort_resets_connections_and_exits_with_3() {
    let mut server = controlled(&["upper"]);
    let _stuck = stuck(server.server.at[0]);
    let mut control = server.connect();
    assert_eq!(control.ask_one("abort"), json!({ "aborting": true }));
    assert_eq!(server.server.code(), Some(3));
    assert!(server.server.has_logged("ended finished=0 aborted=1"));
}

#[test]
fn an_abort_without_connections_exits_with_0() {
    let mut server = controlled(&["upper"]);
    assert_eq!(
        server.connect().ask_one("abort"),
        json!({ "aborting": true })
    );
    assert_eq!(server.server.code(), Some(0));
}
