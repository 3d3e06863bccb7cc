//! The client ends its side, and hears the answer 1.2 s later, whole, on every transport. The
//! delay is the point: a server that gives up on who has ended its side would do so in it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::io::ioctl_fionbio;
use rustix::net::{Shutdown, shutdown};

use crate::common::{Halves, halves, halves_after, serve};

const LATE: Duration = Duration::from_millis(1200);

/// Sends as much as goes, ends its side, reads nothing for a while, and then all.
fn asks_and_reads_late(to: OwnedFd, from: Option<OwnedFd>) {
    let (mut to, from) = (File::from(to), from.map(File::from));
    let question = b"every good boy does fine; ".repeat(200_000);
    ioctl_fionbio(&to, true).expect("it is open");
    let mut sent = 0;
    // The server reads as long as it can answer, and has answers left when this ends.
    while sent < question.len() {
        match to.write(&question[sent..]) {
            Ok(n) => sent += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("it does not read: {error}"),
        }
    }
    let mut from = from.unwrap_or_else(|| {
        shutdown(&to, Shutdown::Write).expect("it is there");
        to.try_clone().expect("a socket")
    });
    drop(to);
    thread::sleep(LATE);
    ioctl_fionbio(&from, false).expect("it is open");
    let mut answer = Vec::new();
    from.read_to_end(&mut answer).expect("it ends in order");
    let expected = question[..sent].to_ascii_uppercase();
    assert!(answer == expected, "{} of {sent} bytes", answer.len());
}

#[test]
fn over_tcp() {
    let mut server = serve(&["upper"]);
    let client = TcpStream::connect(server.at[0]).expect("it accepts");
    asks_and_reads_late(client.into(), None);
    server.wait_for("closed conn=1 ");
    server.end();
}

#[test]
fn over_unix_sockets() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("x.sock");
    let at = path.to_str().expect("text");
    let mut server = Halves::start(&mut halves(&["serve", "upper", "--listen", at]));
    server.wait_for_local();
    let client = UnixStream::connect(&path).expect("it accepts");
    asks_and_reads_late(client.into(), None);
    server.wait_for("closed conn=1 ");
    server.end();
}

#[test]
fn over_a_listener_that_was_handed_down() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("an address");
    let args = ["serve", "upper", "--listen", "fd:3"];
    let mut command = halves_after("exec 3<&0 0</dev/null", &args);
    let mut server = Halves::start(command.stdin(OwnedFd::from(listener)));
    let client = TcpStream::connect(at).expect("it accepts");
    asks_and_reads_late(client.into(), None);
    server.wait_for("closed conn=1 ");
    server.end();
}

#[test]
fn over_a_socket_as_standard_input_and_output() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("an address");
    let tcp = TcpStream::connect(at).expect("it accepts");
    let (accepted, _) = listener.accept().expect("one has connected");
    let (unix, far) = UnixStream::pair().expect("a socket");
    for (client, socket) in [
        (OwnedFd::from(tcp), OwnedFd::from(accepted)),
        (unix.into(), far.into()),
    ] {
        let mut command = halves_after("exec 1>&0", &["serve", "upper", "--listen", "-"]);
        let mut server = Halves::start(command.stdin(socket));
        drop(command);
        asks_and_reads_late(client, None);
        assert_eq!(server.code(), Some(0));
    }
}

#[test]
fn over_pipes_as_standard_input_and_output() {
    let mut command = halves(&["serve", "upper", "--listen", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = Halves::start(&mut command);
    let to = server.child().stdin.take().expect("a pipe");
    let from = server.child().stdout.take().expect("a pipe");
    asks_and_reads_late(to.into(), Some(from.into()));
    assert_eq!(server.code(), Some(0));
}
