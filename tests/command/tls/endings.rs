//! The end of a connection: in order, without `close_notify`, in the middle of a handshake.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::Files;
use super::openssl::{client, is_served, quit, s_client};
use crate::common::Client;
use crate::session::{Session, lacks};

#[test]
fn a_client_that_ends_in_order_is_eof() {
    if lacks("openssl", "a_client_that_ends_in_order_is_eof") {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper"]);
    for version in ["-tls1_2", "-tls1_3"] {
        let mut at_eof = client(&files, &server, &[version]);
        is_served(&mut at_eof);
        at_eof.close_input();
        at_eof.wait_for("DONE");
        assert!(at_eof.end().success());
        let closed = server.wait_for("closed");
        assert!(
            closed.contains(" reason=eof ") && !closed.contains("error="),
            "{closed}"
        );
    }
}

#[test]
fn a_client_that_leaves_without_close_notify_is_truncated() {
    let name = "a_client_that_leaves_without_close_notify_is_truncated";
    if lacks("openssl", name) {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper"]);
    for version in ["-tls1_2", "-tls1_3"] {
        let mut killed = client(&files, &server, &[version]);
        is_served(&mut killed);
        killed.kill();
        let closed = server.wait_for("closed");
        assert!(closed.contains(" reason=truncated "), "{closed}");
        let error = " error=\"the stream ended without the close_notify of TLS\"";
        assert!(closed.ends_with(error), "{closed}");
    }
    server.end();
}

#[test]
fn a_handler_that_ends_first_ends_the_client_in_order() {
    let name = "a_handler_that_ends_first_ends_the_client_in_order";
    if lacks("openssl", name) {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper", "--close-word", "bye\n"]);
    for version in ["-tls1_2", "-tls1_3"] {
        let mut client = client(&files, &server, &[version]);
        is_served(&mut client);
        client.send("bye\n");
        // Without close_notify it would fail: "unexpected eof while reading".
        client.wait_for("closed");
        assert!(client.end().success(), "{}", client.text());
        let closed = server.wait_for("closed");
        assert!(closed.contains(" reason=handler "), "{closed}");
    }
}

/// A client in the middle of its handshake: the server has its first message, and its answer does
/// not reach the client. Returns the server's side.
fn half_way(files: &Files, server: SocketAddr) -> (Session, TcpStream) {
    let between = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = between.local_addr().expect("an address").to_string();
    let client = s_client(files, &at, &[]);
    let (from, _) = between.accept().expect("it connects");
    let mut from = Client::within(from).0;
    let mut to = Client::new(server).0;
    let mut header = [0; 5];
    from.read_exact(&mut header).expect("a record");
    let mut body = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    from.read_exact(&mut body).expect("a record");
    to.write_all(&[&header[..], &body].concat())
        .expect("it reads");
    to.read_exact(&mut header).expect("it answers");
    (client, to)
}

#[test]
fn a_client_that_ends_in_the_middle_of_the_handshake_is_refused() {
    let name = "a_client_that_ends_in_the_middle_of_the_handshake_is_refused";
    if lacks("openssl", name) {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper", "-v"]);

    let (mut client, mut between) = half_way(&files, server.at[0]);
    client.kill();
    between.shutdown(Shutdown::Write).expect("it is there");
    between.read_to_end(&mut Vec::new()).expect("it ends");
    let refused = server.wait_for("refused conn=1 ");
    let error = " reason=tls error=\"the stream ended during the TLS handshake\"";
    assert!(refused.ends_with(error), "{refused}");

    let (mut client, between) = half_way(&files, server.at[0]);
    client.kill();
    set_socket_linger(&between, Some(Duration::ZERO)).expect("a socket");
    drop(between);
    let refused = server.wait_for("refused conn=2 ");
    assert!(
        refused.contains(" reason=tls error=\"Connection reset"),
        "{refused}"
    );
    let closed = server.wait_for("closed conn=2 ");
    assert!(closed.contains(" reason=tls "), "{closed}");
    server.end();
}

#[test]
fn a_deadline_ends_a_handshake_and_an_idle_session() {
    if lacks("openssl", "a_deadline_ends_a_handshake_and_an_idle_session") {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper", "--handshake-timeout", "1s"]);
    let (_client, mut between) = half_way(&files, server.at[0]);
    between
        .read_to_end(&mut Vec::new())
        .expect("it ends in order");
    let closed = server.wait_for("closed");
    assert!(closed.contains(" reason=handshake "), "{closed}");
    server.end();

    let mut server = files.serve(&["upper", "--idle-timeout", "1s"]);
    let mut client = client(&files, &server, &[]);
    client.wait_for("closed");
    assert!(client.end().success(), "{}", client.text());
    let closed = server.wait_for("closed");
    assert!(closed.contains(" reason=idle "), "{closed}");
}

#[test]
fn a_drain_waits_for_sessions_and_handshakes() {
    if lacks("openssl", "a_drain_waits_for_sessions_and_handshakes") {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper"]);
    let mut session = client(&files, &server, &[]);
    is_served(&mut session);
    let at = server.at[0].to_string();
    let between = TcpListener::bind("127.0.0.1:0").expect("a port");
    let late_at = between.local_addr().expect("an address").to_string();
    let mut late = s_client(&files, &late_at, &[]);
    late.send("hello\n");
    let (mut near, _) = between.accept().expect("it connects");
    let mut far = TcpStream::connect(at).expect("it accepts");
    // A client that sends nothing would not be waited for.
    let mut first = [0; 5];
    near.read_exact(&mut first).expect("a handshake");
    far.write_all(&first).expect("it is read");
    server.signal(rustix::process::Signal::TERM);
    server.wait_for("draining connections=2 ");
    is_served(&mut session);
    pass(&near, &far);
    late.wait_for("HELLO\n");
    quit(session);
    quit(late);
    assert_eq!(server.code(), Some(0), "{:#?}", server.log);
    assert!(server.has_logged("ended finished=2 aborted=0"));
}

/// Passes bytes in both directions.
fn pass(near: &TcpStream, far: &TcpStream) {
    for (from, to) in [(near, far), (far, near)] {
        let (mut from, mut to) = (
            from.try_clone().expect("a socket"),
            to.try_clone().expect("a socket"),
        );
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}
