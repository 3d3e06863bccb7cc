//! The ssl module of Python as a client: blocking sockets, memory, and asyncio.

use std::process::Command;

use super::Files;
use crate::common::{Halves, run_to_end};
use crate::session::lacks;
use crate::support::skip::skip;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/command/tls/client.py");
/// The exit code of a client that this version of Python cannot run.
const UNABLE: i32 = 77;

/// Runs a client of the script to its end. Returns false if it cannot be run.
fn python(files: &Files, server: &Halves, client: &str) -> bool {
    let mut python = Command::new("python3");
    python
        .args([SCRIPT, client, &server.at[0].port().to_string()])
        .arg(files.ca());
    let output = run_to_end(&mut python);
    let is_able = output.status.code() != Some(UNABLE);
    assert!(output.status.success() || !is_able, "{client}: {output:?}");
    is_able
}

/// Runs clients, and asserts that the log has this reason for each.
fn ends_with(test: &str, reason: &str, clients: &[&str]) {
    if lacks("python3", test) {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper", "--close-word", "bye"]);
    for client in clients {
        if !python(&files, &server, client) {
            skip(test, &format!("python3 is too old for {client}"));
            continue;
        }
        let closed = server.wait_for("closed");
        let reason = format!(" reason={reason} ");
        assert!(closed.contains(&reason), "{client}: {closed}");
    }
    server.end();
}

#[test]
fn python_closes_in_order_over_sockets_and_memory() {
    let test = "python_closes_in_order_over_sockets_and_memory";
    ends_with(test, "eof", &["blocking", "blocking_12", "memory"]);
}

#[test]
fn python_streams_much_data_both_ways() {
    let test = "python_streams_much_data_both_ways";
    ends_with(test, "eof", &["open_connection", "start_tls"]);
}

#[test]
fn python_that_leaves_without_close_notify_is_truncated() {
    let test = "python_that_leaves_without_close_notify_is_truncated";
    ends_with(test, "truncated", &["abrupt", "half"]);
}

#[test]
fn python_reads_the_end_of_the_server() {
    ends_with("python_reads_the_end_of_the_server", "handler", &["word"]);
}
