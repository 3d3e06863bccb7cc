//! Sockets from a service manager: the process that they are for, their names, and the ones that
//! are not used.

use std::fs::File;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use rustix::fs::fstatfs;
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use crate::common::{Client, Halves};
use crate::inherited::{accepted, fails, listener, with};
use crate::support::skip::skip;

/// Passes a socket as systemd does: with a name, to the process that the shell becomes.
const HAND_OVER: &str = "exec 3<&0 0</dev/null && export LISTEN_PID=$$ LISTEN_FDS=1";

#[test]
fn sockets_are_taken_by_name() {
    let [web, admin] = [listener(), listener()];
    let at = [&web, &admin].map(|listener| listener.local_addr().expect("an address"));
    let shell = "exec 3<&0 4<&1 0</dev/null 1>/dev/null &&
        export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:admin";
    let start = |args: &[&str]| {
        let socket = web.try_clone().expect("a socket");
        let mut command = with(socket, shell, args);
        command.stdout(OwnedFd::from(admin.try_clone().expect("a socket")));
        command
    };
    let mut server = Halves::start(&mut start(&[
        "--listen=sd-listen:admin",
        "--listen=sd-listen:web",
    ]));
    server.wait_until_listening(2);
    assert_eq!(server.at, [at[1], at[0]]);
    for at in at {
        assert_eq!(Client::new(at).ask("hello"), "HELLO");
    }
    server.end();

    let mut server = Halves::start(&mut start(&["--listen=sd-listen"]));
    server.wait_until_listening(2);
    assert_eq!(server.at, at);
    server.end();

    fails(
        &mut start(&["--listen=sd-listen:mail"]),
        "no socket called 'mail' was handed over, only: web, admin",
    );
    // A named socket is not available by its number too.
    let both = ["--listen=sd-listen:web", "--listen=fd:3"];
    fails(&mut start(&both), "in use already");
    fails(
        &mut start(&["--listen=sd-listen", "--ready-fd=4"]),
        "--ready-fd 4: ",
    );
}

/// The process that starts the command may have named it as a service manager does.
#[test]
fn a_named_socket_is_served_by_its_number_as_well() {
    let theirs = listener();
    let at = theirs.local_addr().expect("an address");
    let mut server = Halves::start(&mut with(theirs, HAND_OVER, &["--listen=fd:3"]));
    server.wait_until_listening(1);
    assert_eq!(Client::new(at).ask("hello"), "HELLO");
    server.end();
    let (mut client, socket) = accepted();
    let mut server = Halves::start(&mut with(socket, HAND_OVER, &["--listen=fd:3"]));
    assert_eq!(client.ask("hello"), "HELLO");
    assert_eq!(client.finish(), b"");
    assert_eq!(server.code(), Some(0));
}

#[test]
fn an_inherited_connection_is_served_once() {
    let (mut client, socket) = accepted();
    let mut server = Halves::start(&mut with(
        socket,
        HAND_OVER,
        &["--listen=sd-listen:unknown"],
    ));
    assert_eq!(client.ask("hello"), "HELLO");
    assert_eq!(client.finish(), b"");
    assert_eq!(server.code(), Some(0));
}

#[test]
fn sockets_for_another_process_are_not_taken() {
    for (shell, problem) in [
        ("export LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_PID is 1"),
        ("export LISTEN_FDS=1", "not both set"),
        ("export LISTEN_PID=$$ LISTEN_FDS=none", "LISTEN_FDS is none"),
        ("export LISTEN_PID=$$ LISTEN_FDS=0", "LISTEN_FDS is 0"),
        (
            "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=a:b",
            "2 names for 1",
        ),
    ] {
        let shell = format!("exec 3<&0 0</dev/null && {shell}");
        fails(
            &mut with(listener(), &shell, &["--listen=sd-listen"]),
            problem,
        );
    }
    let mut command = with(listener(), HAND_OVER, &["--listen=sd-listen:web"]);
    fails(&mut command, "only: unknown");
    let unbound = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None);
    fails(
        &mut with(
            unbound.expect("a socket"),
            HAND_OVER,
            &["--listen=sd-listen"],
        ),
        "cannot listen on sd-listen: 'unknown', descriptor 3: it neither listens nor is connected",
    );
    let missing = "exec 3<&- && export LISTEN_PID=$$ LISTEN_FDS=1";
    fails(
        &mut with(listener(), missing, &["--listen=sd-listen"]),
        "descriptor 3",
    );
    let file = File::open("/dev/null").expect("a file");
    fails(
        &mut with(file, HAND_OVER, &["--listen=sd-listen"]),
        "it is not a socket",
    );
}

/// The id of a process may be used again.
#[test]
fn sockets_for_an_earlier_process_of_the_same_id_are_not_taken() {
    let pidfd = pidfd_open(getpid(), PidfdFlags::empty());
    let file_system = pidfd.and_then(fstatfs).map(|it| it.f_type);
    // See statfs(2): only on this file system does each process have an inode of its own.
    if file_system != Ok(0x5049_4446) {
        let test = "sockets_for_an_earlier_process_of_the_same_id_are_not_taken";
        return skip(test, "no pidfs");
    }
    let shell = format!("{HAND_OVER} LISTEN_PIDFDID=1");
    fails(
        &mut with(listener(), &shell, &["--listen=sd-listen"]),
        "LISTEN_PIDFDID is 1",
    );
}

#[test]
fn unused_sockets_are_closed() {
    let theirs = listener();
    let at = theirs.local_addr().expect("an address");
    let shell = format!("{HAND_OVER} LISTEN_FDNAMES='w e\"b'");
    let mut command = with(theirs, &shell, &["-q", "--listen=127.0.0.1:0"]);
    let mut server = Halves::start(&mut command);
    drop(command);
    let line = server.wait_for("unused");
    assert_eq!(
        line,
        format!(
            r#"unused sockets="w e\"b fd:3 {at}" (closed: passed by the service manager, named by no --listen)"#
        )
    );
    let error = TcpStream::connect(at).expect_err("it is closed");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    server.end();
    assert_eq!(server.count("unused"), 1);
    // A socket for another process is not closed.
    let theirs = listener();
    let socket = theirs.try_clone().expect("a socket");
    let shell = "exec 3<&0 0</dev/null && export LISTEN_PID=1 LISTEN_FDS=1";
    let mut server = Halves::start(&mut with(socket, shell, &["--listen=127.0.0.1:0"]));
    server.wait_until_listening(1);
    server.end();
    assert_eq!(server.count("unused"), 0);
}
