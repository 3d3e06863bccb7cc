//! Headers that the tests send themselves: wrong, missing, late, and on exempt listeners.

use std::io::{Read, Write};

use super::TRUSTING;
use crate::common::{Client, Halves, halves, serve};

#[test]
fn a_wrong_or_missing_header_is_one_line_with_the_error() {
    let mut server = serve(&[&["upper", "--proxy-protocol=any"], &TRUSTING[..]].concat());
    for (sent, error) in [
        (&b"hello\n"[..], "no PROXY header\""),
        (
            b"GET / HTTP/1.0\r\n\r\n",
            "expected a PROXY header, found an HTTP request\"",
        ),
        (
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc",
            "expected a PROXY header, found a TLS handshake\"",
        ),
        (
            b"PROXY TCP4 127.0.0.300 127.0.0.1 1 2\r\n",
            "PROXY header: invalid ",
        ),
        (
            b"PROXY TCP4 127.0.0.3 127.0.0.1 1 2 3\r\n",
            "PROXY header: invalid ",
        ),
        (
            b"PROXY TCP5 127.0.0.3 127.0.0.1 1 2\r\n",
            "PROXY header: invalid ",
        ),
        (
            &[b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(),
            "PROXY header of more than 107 bytes\"",
        ),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
            "PROXY header: invalid ",
        ),
        (b"", "the input ended before the end of the PROXY header\""),
        (
            b"PROXY TCP4 127.0.0.3",
            "the input ended before the end of the PROXY header\"",
        ),
    ] {
        assert_eq!(server.client().send(sent), b"");
        let refused = server.wait_for("refused");
        let part = format!(" reason=proxy_header error=\"{error}");
        assert!(refused.contains(&part), "{refused}");
    }
    server.end();
    assert_eq!(server.count("closed"), 0, "{:#?}", server.log);
}

#[test]
fn a_header_and_a_request_may_arrive_in_any_pieces() {
    let mut server = serve(&[&["upper", "--proxy-protocol=v1"], &TRUSTING[..]].concat());
    let text = b"PROXY TCP4 192.0.2.7 192.0.2.1 4321 443\r\nhello";
    for size in [1, 7, text.len() - 5, text.len() - 4, text.len()] {
        let mut client = server.client().0;
        client.set_nodelay(true).expect("a socket");
        for piece in text.chunks(size) {
            client.write_all(piece).expect("it reads");
        }
        let mut answer = [0; 5];
        client.read_exact(&mut answer).expect("it answers");
        assert_eq!(&answer, b"HELLO");
        drop(client);
        let closed = server.wait_for("closed");
        assert!(
            closed.contains(" peer=192.0.2.7:4321 reason=eof "),
            "{closed}"
        );
    }
    server.end();
}

#[test]
fn a_client_without_a_header_ends_at_the_handshake_timeout() {
    let args = ["upper", "--proxy-protocol=v1", "--handshake-timeout=1s"];
    let mut server = serve(&[&args, &TRUSTING[..]].concat());
    let mut client = server.client();
    client.0.write_all(b"PROXY ").expect("it reads");
    assert_eq!(client.rest(), b"");
    let closed = server.wait_for("closed");
    assert!(closed.contains(" reason=handshake in=6 "), "{closed}");
    server.end();
}

#[test]
fn a_listener_may_expect_no_header() {
    let listen = ["--listen=127.0.0.1:0", "--listen=127.0.0.1:0,proxy=off"];
    let args = [
        &["serve", "upper", "--proxy-protocol=v1"],
        &TRUSTING[..],
        &listen,
    ]
    .concat();
    let mut server = Halves::start(&mut halves(&args));
    server.wait_until_listening(2);
    assert!(
        server.log[0].ends_with(" service=upper layers=proxy"),
        "{:#?}",
        server.log
    );
    let mut exempt = Client::new(server.at[1]);
    assert_eq!(exempt.ask("PROXY UNKNOWN\r\n"), "PROXY UNKNOWN\r\n");
    assert_eq!(exempt.ask("hello"), "HELLO");
    drop(exempt);
    assert_eq!(server.client().send(b"PROXY UNKNOWN\r\nhello"), b"HELLO");
    assert_eq!(server.client().send(b"hello"), b"");
    server.end();
    assert!(
        server.has_logged(" reason=proxy_header "),
        "{:#?}",
        server.log
    );
}
