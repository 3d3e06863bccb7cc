//! The client ends its side, and receives the whole answer 1.2 s later, on every transport: because
//! the client reads late, or because the server answers late. The delay is the point: a server that
//! gives up a client after a half-close would do so in it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::ioctl_fionbio;
use rustix::net::{Shutdown, SocketAddrAny, SocketAddrUnix, SocketType, connect, shutdown};

use crate::common::{Halves, TIMEOUT, free_port, halves, halves_after, serve};
use crate::support::place;
use crate::support::skip::skip;

/// The time in which a client reads nothing, and a child writes nothing.
const READ_DELAY: Duration = Duration::from_millis(1200);

/// Sends as much as the server reads, ends its side, reads nothing for a while, and then
/// everything.
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
    thread::sleep(READ_DELAY);
    ioctl_fionbio(&from, false).expect("it is open");
    let mut answer = Vec::new();
    from.read_to_end(&mut answer).expect("it ends in order");
    let expected = question[..sent].to_ascii_uppercase();
    assert!(answer == expected, "{} of {sent} bytes", answer.len());
}

#[test]
fn a_late_reader_receives_the_whole_answer_over_tcp() {
    let mut server = serve(&["upper"]);
    let client = TcpStream::connect(server.at[0]).expect("it accepts");
    asks_and_reads_late(client.into(), None);
    server.wait_for("closed conn=1 ");
    server.end();
}

#[test]
fn a_late_reader_receives_the_whole_answer_over_unix_sockets() {
    let dir = place::dir();
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
fn a_late_reader_receives_the_whole_answer_over_an_inherited_listener() {
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
fn a_late_reader_receives_the_whole_answer_over_a_socket_as_standard_input_and_output() {
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
fn a_late_reader_receives_the_whole_answer_over_pipes_as_standard_input_and_output() {
    let mut command = halves(&["serve", "upper", "--listen", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = Halves::start(&mut command);
    let to = server.child().stdin.take().expect("a pipe");
    let from = server.child().stdout.take().expect("a pipe");
    asks_and_reads_late(to.into(), Some(from.into()));
    assert_eq!(server.code(), Some(0));
}

/// Waits, and then writes more than all buffers on the way hold.
const SLOW_ANSWER_SCRIPT: &str = "n=$(wc -c); sleep 1.2; head -c 300000 /dev/zero; echo $n";

/// A server with late answers, after `shell` in a shell: the example that has a child answer each
/// client. The services of the command are never late.
fn late(shell: &str, address: &str) -> Option<Command> {
    let built = Path::new(env!("CARGO_BIN_EXE_halves"));
    let child = built.with_file_name("examples").join("child");
    if !child.exists() {
        skip("half_close::late", "run `cargo build --examples` first");
        return None;
    }
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{shell} && exec \"$0\" \"$@\"")])
        .arg(child)
        .args([address, "sh", "-c", SLOW_ANSWER_SCRIPT]);
    Some(command)
}

/// Sends a request, ends its side, and receives the whole answer.
fn asks_and_is_answered_late(mut to: OwnedFd, from: Option<OwnedFd>) {
    let begun = Instant::now();
    rustix::io::write(&to, b"hello").expect("it reads");
    if let Some(from) = from {
        to = from;
    } else {
        shutdown(&to, Shutdown::Write).expect("it is there");
    }
    let mut answer = Vec::new();
    let read = File::from(to).read_to_end(&mut answer);
    read.expect("it ends in order");
    let (zeros, last) = answer.split_at(answer.len().min(300_000));
    assert!(zeros.len() == 300_000 && zeros.iter().all(|&byte| byte == 0));
    assert_eq!(String::from_utf8_lossy(last).trim(), "5");
    assert!(begun.elapsed() >= READ_DELAY, "it was not late");
}

/// Connects once there is a listener.
fn connect_in_time(address: &SocketAddrAny) -> OwnedFd {
    let begun = Instant::now();
    loop {
        let socket = rustix::net::socket(address.address_family(), SocketType::STREAM, None);
        let socket = socket.expect("a socket");
        match connect(&socket, address) {
            Ok(()) => return socket,
            Err(error) => assert!(begun.elapsed() < TIMEOUT, "it never listens: {error}"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_late_answer_arrives_whole_over_sockets() {
    let dir = place::dir();
    let path = dir.path().join("x.sock");
    let tcp = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let name = format!("halves-late-{}", std::process::id());
    let named = SocketAddrUnix::new_abstract_name(name.as_bytes());
    let addresses = [
        (tcp.to_string(), tcp.into()),
        (
            format!("unix:{}", path.display()),
            SocketAddrUnix::new(&path).expect("a path").into(),
        ),
        (format!("@{name}"), named.expect("a name").into()),
    ];
    let servers = addresses.map(|(address, to)| {
        let mut server = late("true", &address)?;
        // All of them at the same time.
        Some(thread::spawn(move || {
            let mut server = Halves::start(&mut server);
            asks_and_is_answered_late(connect_in_time(&to), None);
            server.end();
        }))
    });
    for server in servers.into_iter().flatten() {
        server.join().expect("no panic");
    }
}

#[test]
fn a_late_answer_arrives_whole_over_inherited_sockets() {
    let activated = "exec 3<&0 0</dev/null && export LISTEN_PID=$$ LISTEN_FDS=1";
    for (shell, address) in [
        (activated, "sd-listen"),
        (activated, "fd:3"),
        ("true", "fd:0"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = listener.local_addr().expect("an address");
        let Some(mut server) = late(shell, address) else {
            return;
        };
        let mut server = Halves::start(server.stdin(OwnedFd::from(listener)));
        asks_and_is_answered_late(connect_in_time(&at.into()), None);
        server.end();
    }
}

#[test]
fn a_late_answer_arrives_whole_over_standard_streams() {
    let (near, far) = UnixStream::pair().expect("a socket");
    let Some(mut command) = late("exec 1>&0", "-") else {
        return;
    };
    let mut server = Halves::start(command.stdin(OwnedFd::from(far)));
    drop(command);
    asks_and_is_answered_late(near.into(), None);
    assert_eq!(server.code(), Some(0));

    let Some(mut command) = late("true", "-") else {
        return;
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = Halves::start(&mut command);
    let to = server.child().stdin.take().expect("a pipe");
    let from = server.child().stdout.take().expect("a pipe");
    asks_and_is_answered_late(to.into(), Some(from.into()));
    assert_eq!(server.code(), Some(0));
}
