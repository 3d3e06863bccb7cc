//! The clients of the control socket: those that may connect, and those that do not behave.

use std::fs;
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process;
use std::thread;

use rustix::fs::Uid;
use rustix::process::geteuid;

use super::{Control, controlled};
use crate::common::{Halves, free_port, halves_after, serve, with_port};
use crate::support::place::dir;
use crate::support::skip::skip;

/// The most connections of the control socket.
const MAX_CONNECTIONS: usize = 16;

#[test]
fn the_file_of_the_socket_has_mode_0600() {
    let server = controlled(&["upper"]);
    let mode = fs::metadata(&server.path).expect("a file").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

/// An abstract socket has no mode, so only the credentials protect it.
#[test]
fn another_user_is_refused_and_keeps_no_place() {
    if !geteuid().is_root() {
        let test = "another_user_is_refused_and_keeps_no_place";
        return skip(test, "only root can take another user");
    }
    let name = format!("halves-control-{}-{}", process::id(), free_port());
    let _server = serve(&["upper", "--control", &format!("@{name}")]);
    let connect = move || {
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        Control::within(UnixStream::connect_addr(&address).expect("it accepts"))
    };
    assert_eq!(connect().ask_one("stats")["open"], 0);
    let others = connect.clone();
    let refused = thread::spawn(move || {
        let user = Uid::from_raw(12345);
        rustix::thread::set_thread_res_uid(user, user, user).expect("root may");
        let connected = (0..20 * MAX_CONNECTIONS).map(|_| others());
        connected.collect::<Vec<_>>()
    });
    // None of these ends its connection. With a wait of 2 s for each, it would take 40 s.
    let mut others = refused.join().expect("no panic");
    assert_eq!(connect().ask_one("stats")["open"], 0);
    let problem = "user 12345 may not send requests; only root may";
    for other in &mut others {
        assert_eq!(other.answer()[0]["error"], problem);
    }
}

#[test]
fn a_client_that_does_not_read_changes_nothing_for_the_service() {
    let server = controlled(&["upper"]);
    let mut clients: Vec<_> = (0..50).map(|_| server.server.client()).collect();
    for client in &mut clients {
        client.ask("hello");
    }
    let greedy = UnixStream::connect(&server.path).expect("it accepts");
    greedy.set_nonblocking(true).expect("a socket");
    // Until both directions are full.
    while (&greedy).write(b"list\n").is_ok() {}
    for client in &mut clients {
        assert_eq!(client.ask("hello"), "HELLO");
    }
    assert_eq!(server.connect().ask("list").len(), 50);
}

#[test]
fn a_client_too_many_waits_and_the_service_goes_on() {
    let server = controlled(&["upper"]);
    let mut first: Vec<_> = (0..MAX_CONNECTIONS).map(|_| server.connect()).collect();
    for control in &mut first {
        control.ask_one("stats");
    }
    let mut next = server.connect();
    next.send("stats\n");
    let read = next.0.get_mut().set_nonblocking(true);
    read.expect("a socket");
    assert_eq!(server.server.client().ask("hello"), "HELLO");
    let mut byte = [0];
    let early = std::io::Read::read(next.0.get_mut(), &mut byte);
    assert_eq!(
        early.expect_err("it waits").kind(),
        std::io::ErrorKind::WouldBlock
    );
    next.0.get_mut().set_nonblocking(false).expect("a socket");
    drop(first.pop());
    assert_eq!(next.answer()[0]["service"], "upper");
}

/// 100 descriptors, of which the clients of the service do not take the last.
#[test]
fn a_server_that_is_full_answers_all_clients_of_the_control_socket() {
    let folder = dir();
    let path = folder.path().join("control");
    let text = path.to_str().expect("UTF-8");
    let args = with_port(&["upper", "--control", text]);
    let mut server = Halves::start(&mut halves_after("ulimit -n 100", &args));
    server.wait_until_listening(1);
    let _clients: Vec<_> = (0..100).map(|_| server.client()).collect();
    server.wait_for("limit reached=\"max_connections=");
    let mut controls: Vec<_> = (0..MAX_CONNECTIONS)
        .map(|_| Control::connect(&path))
        .collect();
    for control in &mut controls {
        assert!(control.ask_one("stats")["open"].as_u64() > Some(40));
    }
}
