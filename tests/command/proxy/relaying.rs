//! Bytes, ends and resets through the command.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::{Command, Stdio};
use std::thread;

use rustix::net::sockopt;
use rustix::process::Signal;

use super::{at, proxy};
use crate::common::{Client, Halves, halves, has, output_of, serve};
use crate::support::place;
use crate::support::skip::skip;

#[test]
fn a_large_transfer_and_half_close_pass_in_both_directions() {
    let mut server = serve(&["upper"]);
    let mut relay = proxy(&[], &[&at(&server)]);
    let sent = vec![b'a'; 20_000_000];
    let mut client = relay.client();
    let mut writer = client.0.try_clone().expect("a socket");
    let length = sent.len();
    let sender = thread::spawn(move || {
        writer.write_all(&sent).expect("it reads");
        writer.shutdown(Shutdown::Write).expect("it is there");
    });
    let received = client.rest();
    sender.join().expect("all is sent");
    assert!(received.len() == length && received.iter().all(|&byte| byte == b'A'));
    let closed = relay.wait_for("closed");
    assert!(
        closed.contains(" reason=eof in=20000000 out=20000000 "),
        "{closed}"
    );
    relay.end();
    server.end();
}

#[test]
fn a_client_of_others_reads_the_answer_after_its_end() {
    if !has("python3") {
        skip(
            "a_client_of_others_reads_the_answer_after_its_end",
            "no python3",
        );
        return;
    }
    let dir = place::dir();
    let path = dir.path().join("socket").display().to_string();
    let mut server = Halves::start(&mut halves(&["serve", "upper", "--listen", &path]));
    server.wait_for("listening");
    let mut relay = proxy(&[], &[&path]);
    let script = "import socket, sys\n\
        s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n\
        s.sendall(b'hello'); s.shutdown(socket.SHUT_WR)\n\
        print(s.makefile().read())";
    let port = relay.at[0].port().to_string();
    let mut python = Command::new("python3");
    python.args(["-c", script, &port]).stdin(Stdio::null());
    let output = output_of(&mut python);
    assert_eq!(output.stdout, b"HELLO\n", "{output:?}");
    relay.end();
    server.end();
}

#[test]
fn targets_take_turns() {
    let servers = [serve(&["daytime"]), serve(&["time"])];
    let [dates, times] = servers.each_ref().map(at);
    let mut relay = proxy(&[], &[&dates, &times]);
    for _ in 0..3 {
        assert!(relay.client().finish().ends_with(b"\n"));
        assert_eq!(relay.client().finish().len(), 4);
    }
    relay.end();
}

#[test]
fn a_reset_of_the_target_resets_the_client_and_is_logged() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let target = listener.local_addr().expect("an address").to_string();
    let mut relay = proxy(&[], &[&target]);
    let mut client = relay.client();
    client.0.write_all(b"hello").expect("it reads");
    let (mut accepted, _) = listener.accept().expect("the relay");
    accepted.read_exact(&mut [0; 5]).expect("it is passed on");
    sockopt::set_socket_linger(&accepted, Some(std::time::Duration::ZERO)).expect("set");
    drop(accepted);
    let error = client.0.read_to_end(&mut Vec::new()).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let closed = relay.wait_for("closed");
    assert!(closed.contains(" reason=error in=5 out=0 "), "{closed}");
    assert!(closed.contains(&format!("target {target}: ")), "{closed}");
    relay.end();
}

#[test]
fn a_drain_waits_for_relays_and_the_timeout_cuts_them() {
    let server = serve(&["upper"]);
    let mut relay = proxy(&[], &[&at(&server)]);
    let mut client = relay.client();
    assert_eq!(client.ask("hello"), "HELLO");
    relay.signal(Signal::TERM);
    relay.wait_for("draining");
    assert_eq!(client.ask("still"), "STILL");
    assert!(client.finish().is_empty());
    assert_eq!(relay.code(), Some(0));

    let mut relay = proxy(&["--drain-timeout", "50ms"], &[&at(&server)]);
    let mut client = Client::new(relay.at[0]);
    assert_eq!(client.ask("hello"), "HELLO");
    relay.signal(Signal::TERM);
    assert_eq!(relay.code(), Some(3));
    assert!(client.0.read_to_end(&mut Vec::new()).is_err(), "a reset");
}
