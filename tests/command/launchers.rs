//! Other programs that start the command for a connection, or with a listener.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::process::Signal;

use crate::common::{Client, Halves, TIMEOUT, free_port, has};
use crate::support::place;
use crate::support::skip::skip;

const HALVES: &str = env!("CARGO_BIN_EXE_halves");

fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

fn start(program: &str, args: &[&str]) -> Halves {
    Halves::start(Command::new(program).args(args))
}

/// Sends a request, ends its side, and asserts that the whole answer arrives.
fn is_answered(at: SocketAddr) {
    let mut client = Client::connect_in_time(at);
    assert_eq!(client.ask("hello"), "HELLO");
    client.0.write_all(b"and bye").expect("it reads");
    assert_eq!(client.finish(), b"AND BYE");
}

#[test]
fn systemd_socket_activate_hands_over_listeners() {
    let name = "systemd_socket_activate_hands_over_listeners";
    if !has("systemd-socket-activate") {
        return skip(name, "there is no systemd-socket-activate");
    }
    let dir = place::dir();
    let path = dir.path().join("x.sock");
    let (at, tcp) = (free_address(), format!("unix:{}", path.display()));
    let args = [
        &format!("--listen={at}"),
        &format!("--listen={}", path.display()),
        "--fdname=web:local",
        HALVES,
        "serve",
        "upper",
        "--listen=sd-listen:local",
        "--listen=sd-listen:web",
    ];
    let mut server = start("systemd-socket-activate", &args);
    // It starts the command for the first client.
    server.wait_for(&format!("Listening on {} as 4.", path.display()));
    is_answered(at);
    assert_eq!(server.wait_for_local(), tcp);
    assert_eq!(server.wait_for_local(), at.to_string());
    let mut client = UnixStream::connect(&path).expect("it accepts");
    client.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    client.write_all(b"hello").expect("it reads");
    client.shutdown(Shutdown::Write).expect("it is there");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it ends");
    assert_eq!(answer, "HELLO");
    // It has become the command.
    server.end();
    assert!(path.exists(), "the file is the manager's");
}

#[test]
fn systemd_socket_activate_hands_over_each_connection() {
    let name = "systemd_socket_activate_hands_over_each_connection";
    if !has("systemd-socket-activate") {
        return skip(name, "there is no systemd-socket-activate");
    }
    for (how, address) in [
        (&["-a"][..], "sd-listen"),
        (&["-a"], "fd:3"),
        (&["-a", "--inetd"], "-"),
    ] {
        let at = free_address();
        let listen = format!("--listen={at}");
        let us = [&*listen, HALVES, "serve", "upper", "--listen", address];
        let mut server = start("systemd-socket-activate", &[how, &us].concat());
        server.wait_for(&format!("Listening on {at} as 3."));
        for _ in 0..2 {
            is_answered(at);
            let closed = server.wait_for("closed conn=1 peer=127.0.0.1:");
            assert!(closed.contains(" reason=eof in=12 out=12 "), "{closed}");
        }
    }
}

#[test]
fn tcpserver_hands_over_each_connection() {
    if !has("tcpserver") {
        return skip(
            "tcpserver_hands_over_each_connection",
            "there is no tcpserver (ucspi-tcp)",
        );
    }
    let at = free_address();
    let port = at.port().to_string();
    let args = [
        "-HR",
        "-l0",
        "127.0.0.1",
        &port,
        HALVES,
        "serve",
        "upper",
        "--listen=-",
    ];
    let mut server = start("tcpserver", &args);
    for _ in 0..2 {
        is_answered(at);
        server.wait_for("closed conn=1 peer=127.0.0.1:");
    }
    server.signal(Signal::TERM);
}

#[test]
fn socat_starts_it_with_a_socket() {
    if !has("socat") {
        return skip("socat_starts_it_with_a_socket", "there is no socat");
    }
    let at = free_address();
    let mut server = socat(at, "");
    is_answered(at);
    server.wait_for("closed conn=1 peer=unix ");
}

/// Pipes work less well: socat waits when the client has ended its side, and ncat cuts the answer
/// off. So these clients end their side last.
#[test]
fn socat_and_ncat_start_it_with_pipes() {
    let name = "socat_and_ncat_start_it_with_pipes";
    for (program, start) in [("socat", socat as fn(_, _) -> _), ("ncat", ncat)] {
        if !has(program) {
            skip(name, &format!("there is no {program}"));
            continue;
        }
        let at = free_address();
        let mut server = start(at, ",pipes");
        let mut client = Client::connect_in_time(at);
        assert_eq!(client.ask("hello"), "HELLO");
        drop(client);
        server.wait_for("closed conn=1 peer=stdio ");
    }
}

fn socat(at: SocketAddr, options: &str) -> Halves {
    let listen = format!("TCP-LISTEN:{},bind=127.0.0.1,reuseaddr", at.port());
    let exec = format!("EXEC:{HALVES} serve upper --listen -{options}");
    start("socat", &["-t", "10", &listen, &exec])
}

fn ncat(at: SocketAddr, _: &str) -> Halves {
    let port = at.port().to_string();
    let exec = format!("{HALVES} serve upper --listen -");
    start("ncat", &["-l", "127.0.0.1", &port, "--exec", &exec])
}
