//! Sockets that whoever starts the command hands down: by number, as systemd does, as inetd does.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use crate::common::{Client, Halves, TIMEOUT, halves, halves_after, output_of, run_to_end};
use crate::support::place;

/// With `socket` as its standard input, which `shell` makes something of.
pub(crate) fn with(socket: impl Into<OwnedFd>, shell: &str, args: &[&str]) -> Command {
    let args = [&["serve", "upper"], args].concat();
    let mut command = halves_after(shell, &args);
    command.stdin(Stdio::from(socket.into()));
    command
}

pub(crate) fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

/// Both ends of a connection that was accepted.
pub(crate) fn accepted() -> (Client, TcpStream) {
    let listener = listener();
    let client = Client::new(listener.local_addr().expect("an address"));
    let (socket, _) = listener.accept().expect("one has connected");
    (client, socket)
}

/// Asserts that it fails with one line that has this in it.
pub(crate) fn fails(command: &mut Command, problem: &str) {
    let output = output_of(command);
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.starts_with("halves: ") && said.contains(problem),
        "{said}"
    );
}

#[test]
fn a_listener_by_its_number_is_served_and_left_to_others() {
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
    // As one connection it makes no sense, which is said with what does.
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
    // Nobody could connect to it.
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
fn the_rules_are_also_for_who_comes_by_inetd() {
    let (mut client, socket) = accepted();
    let args = ["--listen=-", "--deny=127.0.0.1"];
    let mut server = Halves::start(&mut with(socket, "exec 1>&0", &args));
    assert_eq!(client.rest(), b"");
    assert_eq!(server.code(), Some(0));
    assert_eq!(server.count("refused conn=1 peer=127.0.0.1:"), 1);
}

/// inetd makes standard error of it, too.
#[test]
fn no_client_hears_the_log() {
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
    // Nor what is wrong with the arguments.
    let (mut client, socket) = accepted();
    let mut child = with(socket, "exec 1>&0 2>&0", &["--listen=-", "--bogus"]).spawn();
    assert_eq!(client.rest(), b"");
    let status = child.as_mut().map(Child::wait).expect("it starts");
    assert_eq!(status.expect("it ends").code(), Some(2));
}

/// systemd has both lead to its journal, by one socket.
#[test]
fn a_log_that_shares_a_socket_with_standard_output_is_heard() {
    let (journal, socket) = UnixStream::pair().expect("a socket");
    journal.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    let args = ["--listen=127.0.0.1:0"];
    let mut command = with(socket, "exec 1>&0 2>&0 0</dev/null", &args);
    let server = Halves::unheard(command.spawn().expect("it starts"));
    drop(command);
    let mut line = String::new();
    let read = BufReader::new(journal).read_line(&mut line);
    read.expect("text");
    assert!(line.starts_with("listening local=127.0.0.1:"), "{line}");
    drop(server);
}

/// Others may have it open, too, such as a shell that waits for us.
#[test]
fn the_end_is_told_while_others_have_the_socket() {
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

/// Also while the process lives, for the sake of others.
#[test]
fn of_two_sockets_each_half_is_ended_by_itself() {
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
    assert_eq!(output.read(&mut [0; 8]).expect("an end"), 0);
    server.wait_for("closed conn=1 ");
    let error = input.write_all(b"more").expect_err("nobody reads it");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(server.client().ask("still here"), "STILL HERE");
    server.end();
}

#[test]
fn what_has_no_stream_of_bytes_is_no_standard_stream() {
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
fn what_cannot_be_taken_over_says_so() {
    // Or one that is ours by now.
    let problem = "cannot listen on fd:9: it ";
    fails(
        &mut halves_after("exec 9>&-", &["serve", "upper", "--listen=fd:9"]),
        problem,
    );
    let mut command = halves_after("exec 3</dev/null", &["serve", "upper", "--listen=fd:3"]);
    assert_eq!(run_to_end(&mut command).status.code(), Some(1));
}
