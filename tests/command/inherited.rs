//! Inherited sockets: by number, as from systemd, as from inetd.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use crate::common::{Client, Halves, TIMEOUT, halves, halves_after, output_of, run_to_end};
use crate::support::place;

/// The command with `socket` as its standard input, which `shell` may move.
pub(crate) fn with(socket: impl Into<OwnedFd>, shell: &str, args: &[&str]) -> Command {
    let args = [&["serve", "upper"], args].concat();
    let mut command = halves_after(shell, &args);
    command.stdin(Stdio::from(socket.into()));
    command
}

pub(crate) fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

/// Both ends of an accepted connection.
pub(crate) fn accepted() -> (Client, TcpStream) {
    let listener = listener();
    let client = Client::new(listener.local_addr().expect("an address"));
    let (socket, _) = listener.accept().expect("one has connected");
    (client, socket)
}

/// Asserts that it fails with one line that contains `problem`.
pub(crate) fn fails(command: &mut Command, problem: &str) {
    let output = output_of(command);
    let message = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(
        message.starts_with("halves: ") && message.contains(problem),
        "{message}"
    );
}

#[test]
fn a_listener_by_its_number_is_served_and_left_open_for_other_owners() {
    let theirs = listener();
    let at = theirs.local_addr().expect("an address");
    let socket = theirs.try_clone().expect("a socket");
    let mut server = Halves::start(&mut with(
        socket,
        "exec 3<&0 0</dev/null",
        &["--listen=fd:3"],
    ));
    server.wait_until_listening(1);
    assert_eq!(server.at, [at]);
    assert_eq!(server.client().ask("hello"), "HELLO");
    server.wait_for("closed conn=1 peer=127.0.0.1:");
    server.end();
    let _client = Client::new(at);
    theirs.accept().expect("it listens still");
}

#[test]
fn a_listener_on_standard_input_is_served() {
    let theirs = listener();
    let at = theirs.local_addr().expect("an address");
    let socket = theirs.try_clone().expect("a socket");
    let mut server = Halves::start(&mut with(socket, "true", &["--listen=fd:0"]));
    server.wait_until_listening(1);
    assert_eq!(Client::new(at).ask("hello"), "HELLO");
    server.end();
    // A listener is no connection; the error names the way to serve it.
    let mut command = with(
        theirs.try_clone().expect("a socket"),
        "exec 1>&0",
        &["--listen=-"],
    );
    fails(&mut command, "write fd:0");
}

#[test]
fn a_unix_listener_keeps_its_file() {
    let dir = place::dir();
    let path = dir.path().join("x.sock");
    let theirs = UnixListener::bind(&path).expect("a socket");
    let socket = theirs.try_clone().expect("a socket");
    let mut server = Halves::start(&mut with(
        socket,
        "exec 3<&0 0</dev/null",
        &["--listen=fd:3"],
    ));
    assert_eq!(server.wait_for_local(), format!("unix:{}", path.display()));
    let mut client = UnixStream::connect(&path).expect("it accepts");
    client.write_all(b"hello").expect("it reads");
    client.read_exact(&mut [0; 5]).expect("it answers");
    drop(client);
    server.end();
    drop(UnixStream::connect(&path).expect("it listens still"));
}

#[test]
fn a_connection_by_its_number_is_served_once() {
    let (mut client, socket) = accepted();
    let at = client.0.local_addr().expect("an address");
    let mut server = Halves::start(&mut with(
        socket,
        "exec 3<&0 0</dev/null",
        &["--listen=fd:3"],
    ));
    assert_eq!(client.ask("hello"), "HELLO");
    assert_eq!(client.finish(), b"");
    assert_eq!(server.code(), Some(0));
    assert_eq!(
        server.count(&format!("closed conn=1 peer={at} reason=eof ")),
        1
    );
    // It does not listen.
    assert_eq!(server.count("serving local=127.0.0.1:"), 1);
    assert_eq!(server.count("listening"), 0);
    assert_eq!(server.count("  "), 0, "no hint");
}

#[test]
fn one_socket_as_standard_input_and_output_is_a_connection() {
    let (mut client, socket) = accepted();
    let at = client.0.local_addr().expect("an address");
    let mut server = Halves::start(&mut with(socket, "exec 1>&0", &["--listen=-"]));
    assert_eq!(client.ask("hello"), "HELLO");
    assert_eq!(client.finish(), b"");
    assert_eq!(server.code(), Some(0));
    assert_eq!(
        server.count(&format!("closed conn=1 peer={at} reason=eof ")),
        1
    );
}

#[test]
fn the_rules_apply_to_clients_of_inetd() {
    let (mut client, socket) = accepted();
    let args = ["--listen=-", "--deny=127.0.0.1"];
    let mut server = Halves::start(&mut with(socket, "exec 1>&0", &args));
    assert_eq!(client.rest(), b"");
    assert_eq!(server.code(), Some(0));
    assert_eq!(server.count("refused conn=1 peer=127.0.0.1:"), 1);
}

/// inetd makes it standard error, too.
#[test]
fn no_client_receives_the_log() {
    for (shell, listen) in [
        ("exec 1>&0 2>&0", "--listen=-"),
        ("exec 1>&0 2>&0", "--listen=fd:0"),
        ("exec 1>&0 2>&0", "--listen=fd:1"),
        ("exec 1>&0 2>&0 0</dev/null", "--listen=fd:1"),
    ] {
        let (mut client, socket) = accepted();
        let mut child = with(socket, shell, &[listen, "-v"]).spawn();
        assert_eq!(client.ask("hello"), "HELLO");
        assert_eq!(client.finish(), b"");
        let status = child.as_mut().map(Child::wait).expect("it starts");
        assert_eq!(status.expect("it ends").code(), Some(0));
    }
    // Errors of the arguments are not written to the client either.
    let (mut client, socket) = accepted();
    let mut child = with(socket, "exec 1>&0 2>&0", &["--listen=-", "--bogus"]).spawn();
    assert_eq!(client.rest(), b"");
    let status = child.as_mut().map(Child::wait).expect("it starts");
    assert_eq!(status.expect("it ends").code(), Some(2));
}

/// systemd connects both to its journal, by one socket.
#[test]
fn a_log_that_shares_a_socket_with_standard_output_is_written() {
    let (journal, socket) = UnixStream::pair().expect("a socket");
    journal.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    let args = ["--listen=127.0.0.1:0"];
    let mut command = with(socket, "exec 1>&0 2>&0 0</dev/null", &args);
    let server = Halves::without_log(command.spawn().expect("it starts"));
    drop(command);
    let mut line = String::new();
    let read = BufReader::new(journal).read_line(&mut line);
    read.expect("text");
    assert!(line.starts_with("listening local=127.0.0.1:"), "{line}");
    drop(server);
}

/// Others may have it open, too, such as a shell that waits for the command.
#[test]
fn the_end_is_sent_while_others_have_the_socket() {
    let (mut client, socket) = accepted();
    let _shared = socket.try_clone().expect("a socket");
    let mut server = Halves::start(&mut with(socket, "exec 1>&0", &["--listen=-"]));
    assert_eq!(client.ask("hello"), "HELLO");
    assert_eq!(client.finish(), b"");
    assert_eq!(server.code(), Some(0));
}

#[test]
fn two_sockets_are_a_pair_of_pipes() {
    let [(mut input, ours), (mut output, theirs)] = [(); 2].map(|()| {
        let (near, far) = UnixStream::pair().expect("a socket");
        near.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        (near, far)
    });
    let mut command = halves(&["serve", "upper", "--listen", "-"]);
    command
        .stdin(OwnedFd::from(ours))
        .stdout(OwnedFd::from(theirs));
    let mut server = Halves::start(&mut command);
    drop(command);
    server.wait_for("serving local=stdio ");
    input.write_all(b"hello").expect("it reads");
    input.shutdown(Shutdown::Write).expect("it is there");
    let mut answer = String::new();
    output.read_to_string(&mut answer).expect("it ends");
    assert_eq!(answer, "HELLO");
    assert_eq!(server.code(), Some(0));
}

/// Also while the process runs: other owners read the end at once.
#[test]
fn each_half_of_two_sockets_is_ended_by_itself() {
    let [(mut input, ours), (mut output, theirs)] = [(); 2].map(|()| {
        let (near, far) = UnixStream::pair().expect("a socket");
        near.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        (near, far)
    });
    let mut command = halves(&["serve", "upper", "--close-word", "close", "--listen", "-"]);
    command.args(["--listen", "127.0.0.1:0"]);
    command
        .stdin(OwnedFd::from(ours))
        .stdout(OwnedFd::from(theirs));
    let mut server = Halves::start(&mut command);
    drop(command);
    server.wait_until_listening(1);
    input.write_all(b"close").expect("it reads");
    assert_eq!(output.read_to_end(&mut Vec::new()).expect("an end"), 0);
    server.wait_for("closed conn=1 ");
    let error = input.write_all(b"more").expect_err("it is not read");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(server.client().ask("still here"), "STILL HERE");
    server.end();
}

#[test]
fn descriptors_without_a_byte_stream_are_refused_as_standard_streams() {
    for shell in ["exec 1>&0", "true"] {
        let (_near, far) = UnixDatagram::pair().expect("a socket");
        let mut command = with(far, shell, &["--listen=-"]);
        fails(
            &mut command,
            "cannot listen on -: it is not a stream socket",
        );
    }
}

#[test]
fn descriptors_that_cannot_be_taken_are_errors() {
    // The server may have opened descriptor 9 itself, so the error has one of two endings.
    let problem = "cannot listen on fd:9: it ";
    fails(
        &mut halves_after("exec 9>&-", &["serve", "upper", "--listen=fd:9"]),
        problem,
    );
    let mut command = halves_after("exec 3</dev/null", &["serve", "upper", "--listen=fd:3"]);
    assert_eq!(run_to_end(&mut command).status.code(), Some(1));
}
