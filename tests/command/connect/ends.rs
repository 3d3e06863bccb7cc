//! The ends of both directions.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::{answer, ask, server, start};
use crate::common::TIMEOUT;
use crate::support::place;

#[test]
fn the_end_of_the_input_is_passed_on_and_the_answer_is_still_read() {
    let (address, serving) = server(|mut client| {
        let mut request = String::new();
        client.read_to_string(&mut request).expect("the end");
        let answer = request.to_uppercase();
        client.write_all(answer.as_bytes()).expect("sent");
    });
    assert_eq!(answer(&ask(&[&address], b"hello")), "HELLO");
    serving.join().expect("it serves");
}

#[test]
fn the_end_of_the_peer_is_passed_on_and_the_input_is_still_sent() {
    let (address, serving) = server(|mut client| {
        client.write_all(b"bye").expect("sent");
        client.shutdown(Shutdown::Write).expect("connected");
        let mut rest = String::new();
        client.read_to_string(&mut rest).expect("the end");
        rest
    });
    let mut child = start(&[&address]);
    let mut output = String::new();
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_to_string(&mut output).expect("the end");
    assert_eq!(output, "bye");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(b"a late line\n").expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    answer(&output);
    assert_eq!(serving.join().expect("it serves"), "a late line\n");
}

#[test]
fn a_unix_socket_is_an_address_too() {
    let dir = place::dir();
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).expect("bound");
    let serving = thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let mut request = Vec::new();
        client.read_to_end(&mut request).expect("the end");
        client.write_all(&request).expect("sent");
    });
    let path = path.display().to_string();
    assert_eq!(answer(&ask(&[&path], b"hello")), "hello");
    serving.join().expect("it serves");
}

/// Without the option, the command would wait for the end of the peer.
#[test]
fn quit_on_eof_ends_when_the_input_is_sent() {
    let (address, serving) = server(|mut client| {
        let mut request = String::new();
        client.read_to_string(&mut request).expect("the end");
        (client, request)
    });
    answer(&ask(&[&address, "--quit-on-eof"], b"hello"));
    let (_client, request) = serving.join().expect("it serves");
    assert_eq!(request, "hello");
}

/// A close with bytes on their way would drop what the peer's system has not received, as the peer
/// sends more.
#[test]
fn quit_on_eof_waits_until_the_peer_has_all() {
    const SIZE: usize = 100_000;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    // Most of the input waits at the client.
    set_socket_recv_buffer_size(&listener, 2048).expect("a socket");
    let address = listener.local_addr().expect("an address").to_string();
    let (to, ended) = mpsc::channel();
    let serving = thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let mut other = client.try_clone().expect("a socket");
        let sending = thread::spawn(move || while other.write_all(&[b'y'; 1000]).is_ok() {});
        // A command that does not wait ends in this time.
        let _ = ended.recv_timeout(Duration::from_millis(300));
        let mut received = Vec::new();
        let _ = client.read_to_end(&mut received);
        drop(client);
        sending.join().expect("it ends");
        received.len()
    });
    let mut command = super::connect(&[&address, "--quit-on-eof"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(&vec![b'x'; SIZE]).expect("it reads");
    drop(input);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let _ = to.send(());
    assert_eq!(serving.join().expect("it serves"), SIZE);
}

/// As under a super-server: one socket is standard input and output.
#[test]
fn one_socket_may_be_both_standard_streams() {
    let (address, serving) = server(|mut client| {
        let mut request = String::new();
        client.read_to_string(&mut request).expect("the end");
        client.write_all(b"answer").expect("sent");
        request
    });
    let (mut near, far) = UnixStream::pair().expect("a pair");
    near.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    let mut command = super::connect(&[&address]);
    command.stdin(std::os::fd::OwnedFd::from(
        far.try_clone().expect("a socket"),
    ));
    command.stdout(std::os::fd::OwnedFd::from(far));
    let mut child = command.spawn().expect("it starts");
    drop(command);
    near.write_all(b"request").expect("it reads");
    near.shutdown(Shutdown::Write).expect("connected");
    let mut received = String::new();
    near.read_to_string(&mut received).expect("the end");
    assert_eq!(received, "answer");
    assert_eq!(serving.join().expect("it serves"), "request");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}
