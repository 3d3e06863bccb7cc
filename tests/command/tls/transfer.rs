//! Much data in both directions, and new keys between data.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use super::Files;
use super::openssl::{client, quit};
use crate::common::Halves;
use crate::session::lacks;
use crate::support::seed::seed;

const BYTES: usize = 4 << 20;

/// Random bytes, which are also some commands of `s_client`.
fn random() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed());
    let mut bytes = vec![0; BYTES];
    random.fill(&mut bytes);
    bytes
}

/// Sends bytes to `echo` and returns as many from its answer.
fn echoed(files: &Files, server: &Halves, version: &str, bytes: &[u8]) -> Vec<u8> {
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &server.at[0].to_string()])
        .args(["-CAfile", &files.ca(), "-verify_return_error", version])
        .args(["-quiet", "-no_ign_eof", "-nocommands"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut input = client.stdin.take().expect("a pipe");
    let mut output = client.stdout.take().expect("a pipe");
    let mut answer = vec![0; bytes.len()];
    thread::scope(|scope| {
        let answered = scope.spawn(|| output.read_exact(&mut answer));
        input.write_all(bytes).expect("it reads");
        answered
            .join()
            .expect("no panic")
            .expect("the whole answer");
    });
    // At the end of its input it sends close_notify, and does not wait for an answer.
    drop(input);
    assert!(client.wait().expect("a child").success());
    answer
}

#[test]
fn much_data_goes_both_ways_at_once() {
    if lacks("openssl", "much_data_goes_both_ways_at_once") {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["echo"]);
    let bytes = random();
    for version in ["-tls1_2", "-tls1_3"] {
        assert!(
            echoed(&files, &server, version, &bytes) == bytes,
            "{version}"
        );
        let closed = server.wait_for("closed");
        assert!(closed.contains(" reason=eof "), "{closed}");
    }
    server.end();
}

#[test]
fn a_client_may_change_its_keys_between_data() {
    if lacks("openssl", "a_client_may_change_its_keys_between_data") {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper"]);
    let mut client = client(&files, &server, &["-tls1_3"]);
    client.wait_for("Verify return code: 0 (ok)");
    let line = "x".repeat(20_000);
    for n in 0..10 {
        // K also asks the server for new keys.
        for command in ["k\n", "K\n"] {
            client.send(command);
            // A command has to be alone in what is read.
            client.wait_for("KEYUPDATE");
            client.send(&format!("{line} {n}\n"));
            client.wait_for(&format!("X {n}\n"));
        }
    }
    quit(client);
    let closed = server.wait_for("closed");
    assert!(closed.contains(" reason=eof "), "{closed}");
    server.end();
}

#[test]
fn a_client_may_change_its_keys_while_data_flows() {
    if lacks("openssl", "a_client_may_change_its_keys_while_data_flows") {
        return;
    }
    let files = Files::new();
    let server = files.serve(&["chargen"]);
    let mut client = client(&files, &server, &["-tls1_3"]);
    // One of the lines that repeat.
    let line = "\r\n0123456789:;<=>?@ABC";
    client.wait_for(line);
    for _ in 0..20 {
        for command in ["k\n", "K\n"] {
            client.send(command);
            client.wait_for("KEYUPDATE");
            client.wait_for(line);
        }
    }
}
