//! Large transfers in both directions.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use super::connect;
use crate::common::serve;
use crate::support::seed;

const SIZE: usize = 32 << 20;

/// Random bytes, so that a lost or moved piece is seen.
fn payload(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; SIZE];
    random.fill(&mut bytes);
    bytes
}

#[test]
fn a_large_transfer_comes_back_unchanged_through_pipes() {
    let seed = seed::seed();
    let server = serve(&["echo"]);
    let address = server.at[0].to_string();
    let sent = payload(seed);
    let mut child = start(connect(&[&address]));
    let mut input = child.stdin.take().expect("a pipe");
    let copy = sent.clone();
    let sender = thread::spawn(move || input.write_all(&copy));
    let mut received = Vec::new();
    let mut output = child.stdout.take().expect("a pipe");
    // A slow reader at first: both directions wait.
    let mut byte = [0];
    for _ in 0..100 {
        output.read_exact(&mut byte).expect("bytes");
        received.push(byte[0]);
        thread::yield_now();
    }
    output.read_to_end(&mut received).expect("the end");
    sender.join().expect("it sends").expect("it reads");
    assert!(received == sent, "{} of {SIZE} bytes", received.len());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn files_are_read_and_written() {
    let seed = seed::seed();
    let server = serve(&["echo"]);
    let dir = crate::support::place::dir();
    let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
    std::fs::write(&from, payload(seed)).expect("a file");
    let mut command = connect(&[&server.at[0].to_string()]);
    command.stdin(std::fs::File::open(&from).expect("a file"));
    command.stdout(std::fs::File::create(&to).expect("a file"));
    assert_eq!(command.status().expect("it runs").code(), Some(0));
    let [from, to] = [from, to].map(|path| std::fs::read(path).expect("a file"));
    assert!(from == to, "{} of {} bytes", to.len(), from.len());
}

fn start(mut command: Command) -> std::process::Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("it starts")
}
