//! The connection as standard input and output of a program, with half-close.

use std::fs::File;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use super::{exec, sh};
use crate::common::{Halves, TIMEOUT, halves, output_of};
use crate::support::place;

/// More than the buffers of a socket or a pipe.
const BYTES: usize = 4 << 20;

#[test]
fn an_answer_after_the_end_of_the_input_arrives() {
    let mut server = exec(&[], &["wc", "-c"]);
    let request = vec![b'x'; BYTES];
    assert_eq!(server.client().send(&request), b"4194304\n");
    let closed = server.wait_for("closed conn=1");
    assert!(closed.contains(" reason=eof in=4194304 out=8 "), "{closed}");
    assert!(closed.ends_with(" status=0"), "{closed}");
    server.end();
}

#[test]
fn a_unix_socket_is_half_closed_as_well() {
    let dir = place::dir();
    let path = dir.path().join("x.sock");
    let listen = path.to_str().expect("text");
    let mut server = Halves::start(&mut halves(&["exec", "--listen", listen, "sort"]));
    server.wait_for_local();
    let mut client = UnixStream::connect(&path).expect("it accepts");
    client.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    client.write_all(b"b\na\n").expect("it reads");
    client.shutdown(Shutdown::Write).expect("it is open");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it answers");
    assert_eq!(answer, "a\nb\n");
    let closed = server.wait_for("closed conn=1 peer=unix");
    assert!(closed.contains(" reason=eof "), "{closed}");
    server.end();
    assert!(!path.exists());
}

#[test]
fn standard_input_and_output_are_those_of_the_program() {
    let dir = place::dir();
    let path = dir.path().join("request");
    std::fs::write(&path, "b\na\n").expect("a file");
    let mut command = halves(&["exec", "--listen", "-", "--", "sort", "-r"]);
    command.stdin(File::open(&path).expect("the file"));
    let output = output_of(&mut command);
    assert_eq!(output.stdout, b"b\na\n");
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let mut failing = halves(&["exec", "--listen", "-", "sh", "-c", "cat; exit 3"]);
    failing.stdin(File::open(&path).expect("the file"));
    let output = output_of(&mut failing);
    assert_eq!(output.stdout, b"b\na\n");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let log = String::from_utf8(output.stderr).expect("text");
    assert!(log.contains(" reason=child "), "{log}");
}

#[test]
fn a_connection_of_inetd_is_given_to_the_program() {
    let (mut client, socket) = UnixStream::pair().expect("sockets");
    let mut command = halves(&["exec", "--listen", "-", "wc", "-c"]);
    let output = socket.try_clone().expect("a socket");
    command
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)))
        .stdout(Stdio::from(std::os::fd::OwnedFd::from(output)));
    let mut server = Halves::start(&mut command);
    drop(command);
    client.write_all(b"12345").expect("it reads");
    client.shutdown(Shutdown::Write).expect("it is open");
    client.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it answers");
    assert_eq!(answer, "5\n");
    assert_eq!(server.code(), Some(0));
}

#[test]
fn unread_input_does_not_take_the_answer_away() {
    let mut server = exec(&[], &["echo", "hello"]);
    for size in [1, 100_000] {
        assert_eq!(server.client().send(&vec![b'x'; size]), b"hello\n");
        let closed = server.wait_for("closed");
        assert!(closed.ends_with(" status=0"), "{closed}");
    }
    server.end();
}

#[test]
fn a_program_may_close_its_output_first() {
    let mut server = sh(&[], "echo hello; exec >&-; cat >/dev/null; exit 4");
    let mut client = server.client();
    let mut answer = [0; 6];
    client.0.read_exact(&mut answer).expect("it answers");
    assert_eq!(&answer, b"hello\n");
    // The socket is descriptor 0 as well, so it is open still.
    assert_eq!(client.send(b"more"), b"");
    let closed = server.wait_for("closed conn=1");
    assert!(closed.contains(" reason=child in=4 out=6 "), "{closed}");
    assert!(closed.ends_with(" status=4"), "{closed}");
    server.end();
}

#[test]
fn a_program_that_reads_nothing_holds_the_client_back() {
    let mut server = sh(&[], "echo ready; read line </dev/null; exec sleep 1000");
    let mut client = server.client();
    let mut ready = [0; 6];
    client.0.read_exact(&mut ready).expect("it starts");
    let timeout = Some(Duration::from_millis(200));
    client.0.set_write_timeout(timeout).expect("a socket");
    let chunk = vec![b'x'; 65536];
    let sent = (0..4096).take_while(|_| client.0.write_all(&chunk).is_ok());
    assert!(sent.count() < 4096, "256 MiB are taken and not read");
    server.signal(rustix::process::Signal::TERM);
    server.wait_for("draining");
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.code(), Some(143));
}
