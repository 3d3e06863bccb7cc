//! Each exit code, with its cause.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use super::{ask, complaint, connect, reset, server};
use crate::common::{free_port, output_of};
use crate::support::place;
use crate::support::skip::skip;

#[test]
fn bad_usage_is_2() {
    for args in [
        &[][..],
        &["h"],
        &["h:1", "--bogus"],
        &["h:1,bogus"],
        &["h:1", "h:2"],
    ] {
        let output = ask(args, b"");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            text.ends_with("run 'halves connect --help' for the options\n"),
            "{text}"
        );
    }
}

/// The domain `invalid` has no names.
#[test]
fn a_name_without_an_address_is_10() {
    let line = complaint(&ask(&["nosuch.invalid:80"], b""), 10);
    assert!(
        line.starts_with("cannot resolve nosuch.invalid:80: "),
        "{line}"
    );
}

#[test]
fn a_refusal_is_11() {
    let address = format!("127.0.0.1:{}", free_port());
    let line = complaint(&ask(&[&address], b""), 11);
    let text = format!("cannot connect to {address}: Connection refused");
    assert!(line.starts_with(&text), "{line}");

    let dir = place::dir();
    let path = dir.path().join("nosuch").display().to_string();
    let line = complaint(&ask(&[&path], b""), 11);
    assert!(line.contains("No such file or directory"), "{line}");
    let line = complaint(&ask(&["fd:77"], b""), 11);
    assert_eq!(line, "cannot connect to fd:77: it is not open");
}

#[test]
fn a_source_that_is_no_address_of_this_machine_is_11() {
    let address = format!("127.0.0.1:{}", free_port());
    // For documentation: the address of no machine.
    let line = complaint(&ask(&[&address, "--source", "192.0.2.1"], b""), 11);
    assert!(line.contains(": source 192.0.2.1:0: "), "{line}");
}

/// A listener with a full backlog.
#[cfg(target_os = "linux")]
#[test]
fn a_connect_that_takes_too_long_is_12() {
    use std::net::SocketAddr;

    use rustix::net::{AddressFamily, SocketFlags, SocketType};

    let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None);
    let socket = socket.expect("a socket");
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("bound");
    // The kernel adds one.
    rustix::net::listen(&socket, 0).expect("it listens");
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().expect("bound");
    let _waiting = TcpStream::connect(address).expect("connected");
    let address = address.to_string();
    let line = complaint(&ask(&[&address, "--connect-timeout", "50ms"], b""), 12);
    assert_eq!(
        line,
        format!("cannot connect to {address}: no answer within 50ms")
    );
}

#[test]
fn a_reset_is_15_and_what_came_before_is_printed() {
    let (address, serving) = server(|mut client| {
        client.write_all(b"a part").expect("sent");
        // After this, the part is printed.
        let mut line = [0; 6];
        client.read_exact(&mut line).expect("a line");
        reset(&client);
    });
    let mut child = super::start(&[&address]);
    let (mut input, mut output) = (child.stdin.take(), child.stdout.take());
    let mut part = [0; 6];
    output
        .as_mut()
        .expect("a pipe")
        .read_exact(&mut part)
        .expect("a part");
    assert_eq!(&part, b"a part");
    input
        .as_mut()
        .expect("a pipe")
        .write_all(b"go on\n")
        .expect("it reads");
    let line = complaint(&child.wait_with_output().expect("it ends"), 15);
    let start = format!("{address}: the connection was reset: ");
    assert!(line.starts_with(&start), "{line}");
    serving.join().expect("it serves");
}

/// The peer has ended, and takes no more bytes.
#[test]
fn input_that_the_peer_does_not_take_is_15_and_its_answer_is_printed() {
    let (address, serving) = server(|mut client| {
        client.write_all(b"answer").expect("sent");
        client.shutdown(Shutdown::Write).expect("connected");
        client.read_exact(&mut [0; 100]).expect("it sends");
    });
    let output = ask(&[&address], &vec![b'x'; 8 << 20]);
    assert_eq!(output.stdout, b"answer");
    complaint(&output, 15);
    serving.join().expect("it serves");
}

#[test]
fn a_reader_that_is_gone_is_141_without_a_word() {
    let (address, serving) = server(|mut client| while client.write_all(&[b'x'; 8192]).is_ok() {});
    let mut child = super::start(&[&address]);
    let mut first = [0; 10];
    let mut output = child.stdout.take().expect("a pipe");
    output.read_exact(&mut first).expect("bytes");
    drop(output);
    // Its standard input does not end.
    let input = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(141), "{output:?}");
    assert!(output.stderr.is_empty());
    drop(input);
    serving.join().expect("it is cut");
}

#[test]
fn an_error_of_standard_output_is_1() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        return skip("an_error_of_standard_output_is_1", "there is no /dev/full");
    };
    let (address, serving) = server(|mut client| {
        let _ = client.write_all(b"too much");
        let _ = client.read_to_end(&mut Vec::new());
    });
    let mut command = connect(&[&address]);
    command.stdin(std::process::Stdio::null());
    let mut child = command
        .stdout(full)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    child.wait().expect("it ends");
    let line = complaint(&child.wait_with_output().expect("it ends"), 1);
    let start = "cannot write standard output: No space left on device";
    assert!(line.starts_with(start), "{line}");
    serving.join().expect("it ends");
}

#[test]
fn a_standard_input_that_cannot_be_read_is_1() {
    let dir = File::open(place::dir().path()).expect("a directory");
    let (address, serving) = server(|mut client| client.read_to_end(&mut Vec::new()));
    let mut command = connect(&[&address]);
    command.stdin(dir);
    let output = output_of(&mut command);
    let line = complaint(&output, 1);
    assert!(line.contains("standard input"), "{line}");
    // The peer does not take the input for complete, if it was reached.
    drop(TcpStream::connect(&address));
    drop(serving);
}

#[test]
fn a_file_that_cannot_be_read_is_1() {
    let line = complaint(&ask(&["h:1,tls,ca=/nosuch.pem"], b""), 1);
    assert!(line.starts_with("/nosuch.pem: "), "{line}");
}

#[test]
fn a_connection_without_a_byte_in_the_idle_timeout_is_1() {
    let (address, serving) = server(|mut client| client.read_to_end(&mut Vec::new()));
    let mut child = super::start(&[&address, "--idle-timeout", "100ms"]);
    let input = child.stdin.take();
    let line = complaint(&child.wait_with_output().expect("it ends"), 1);
    assert_eq!(line, format!("{address}: no byte in 100ms"));
    let end = serving.join().expect("it serves");
    assert!(end.is_err(), "the input is cut");
    drop(input);
}
