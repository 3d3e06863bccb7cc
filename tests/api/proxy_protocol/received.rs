//! Exactly the header is received, wherever the stream is split.

use futures_lite::{AsyncReadExt, future, io};
use halves::proxy_protocol::{Header, ProxyProtocol, Tlvs, Version};
use halves::{Connection, Endpoint, Peer};

use super::sources::CLIENT_HEADER;
use crate::support::harness::network::endpoint;
use crate::support::pieces::Pieces;

type Received = io::Result<Connection<Pieces, io::Sink>>;

/// Receives the header of a connection from a load balancer, which arrives in these pieces.
fn receive(pieces: &[&[u8]], version: Version) -> Received {
    let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
    let peer = Peer::new(endpoint("10.0.0.1:1"), Endpoint::Unknown).anonymous();
    let connection = Connection::from_parts(Pieces(pieces), io::sink(), peer);
    future::block_on(ProxyProtocol::new(version).receive(connection))
}

/// The bytes behind the header.
fn rest(received: Received) -> Vec<u8> {
    let mut connection = received.expect("a header");
    let mut rest = Vec::new();
    future::block_on(connection.reader.read_to_end(&mut rest)).expect("no error");
    rest
}

fn at(from: &str, to: &str) -> Header {
    Header::new(endpoint(from), endpoint(to))
}

/// Headers of both versions.
fn headers() -> Vec<Vec<u8>> {
    let tlvs = Tlvs::default().with_authority("www.example.org");
    let header = at("[2001:db8::1]:1", "[2001:db8::2]:443").with_tlvs(tlvs.expect("it is short"));
    vec![
        CLIENT_HEADER.to_vec(),
        b"PROXY UNKNOWN\r\n".to_vec(),
        header.to_v1(),
        header.to_v2(true),
        header.to_v2(false),
        Header::local().to_v2(true),
    ]
}

#[test]
fn what_comes_behind_a_header_is_read_next() {
    let hello = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[7; 500][..],
    ]
    .concat();
    for header in headers() {
        for payload in [&b""[..], b"x", &hello, CLIENT_HEADER, &header] {
            let sent = [&header[..], payload].concat();
            for split in 0..=sent.len() {
                let (first, second) = sent.split_at(split);
                assert_eq!(rest(receive(&[first, b"", second], Version::Any)), payload);
            }
            let bytes: Vec<_> = sent.chunks(1).flat_map(|byte| [b"", byte]).collect();
            assert_eq!(rest(receive(&bytes, Version::Any)), payload);
        }
    }
}

#[test]
fn the_header_and_the_client_are_known_after_it() {
    let tlvs = Tlvs::default()
        .with_alpn(b"h2")
        .and_then(|tlvs| tlvs.with_unique_id(b"7"))
        .expect("they are short");
    let sent = at("203.0.113.1:5", "198.51.100.7:443").with_tlvs(tlvs);
    let connection = receive(&[&sent.to_v2(true)], Version::V2).expect("a header");
    let peer = &connection.peer;
    assert_eq!(peer.proxy().as_deref(), Some(&sent));
    assert_eq!(peer.endpoint(), endpoint("203.0.113.1:5"));
    assert_eq!(peer.transport(), endpoint("10.0.0.1:1"));
    assert_eq!(peer.bytes_in(), sent.to_v2(true).len() as u64);
}

#[test]
fn a_connection_that_expects_no_header_is_left_as_it_is() {
    let peer = Peer::new(endpoint("192.0.2.1:1"), Endpoint::Unknown);
    let connection = Connection::from_parts(CLIENT_HEADER, io::sink(), peer);
    let received = ProxyProtocol::new(Version::Any).receive(connection);
    let mut connection = future::block_on(received).expect("no error");
    assert_eq!(connection.peer.endpoint(), endpoint("192.0.2.1:1"));
    assert!(connection.peer.proxy().is_none());
    let mut all = Vec::new();
    future::block_on(connection.reader.read_to_end(&mut all)).expect("no error");
    assert_eq!(all, CLIENT_HEADER);
}

#[test]
fn a_header_is_received_once() {
    let twice = [CLIENT_HEADER, CLIENT_HEADER].concat();
    let connection = receive(&[&twice], Version::V1).expect("a header");
    let again = ProxyProtocol::new(Version::V1).receive(connection);
    assert_eq!(rest(future::block_on(again)), CLIENT_HEADER);
}

#[test]
fn a_line_has_at_most_107_bytes() {
    for (length, fits) in [(106, true), (107, true), (108, false)] {
        let filler = vec![b'x'; length - b"PROXY UNKNOWN \r\n".len()];
        let line = [b"PROXY UNKNOWN ", &filler[..], b"\r\n"].concat();
        assert_eq!(line.len(), length);
        for pieces in [vec![&line[..]], line.chunks(1).collect()] {
            let received = receive(&pieces, Version::V1);
            assert_eq!(received.is_ok(), fits, "{length} bytes");
        }
    }
}

#[test]
fn tlvs_have_at_most_4_kib() {
    for (length, fits) in [(4095, true), (4096, true), (4097, false)] {
        for family in [0x11, 0x21, 0x31] {
            let addresses = match family {
                0x11 => 12,
                0x21 => 36,
                _ => 216,
            };
            let value = u16::try_from(length - 3).expect("it is short");
            let total = u16::try_from(addresses + length).expect("it is short");
            let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
            header.push(family);
            header.extend(total.to_be_bytes());
            header.extend(vec![0; addresses]);
            header.push(0xe0);
            header.extend(value.to_be_bytes());
            header.extend(vec![7; value.into()]);
            for pieces in [vec![&header[..]], header.chunks(100).collect()] {
                let received = receive(&pieces, Version::V2);
                assert_eq!(received.is_ok(), fits, "{length} bytes, family {family:#x}");
            }
        }
    }
}

#[test]
fn a_header_that_is_too_long_by_its_length_field_is_not_waited_for() {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x31".to_vec();
    let most = Header::MAX_V2_BYTES - 16;
    header.extend(u16::try_from(most + 1).expect("it is short").to_be_bytes());
    let error = receive(&[&header], Version::V2).expect_err("it is too long");
    assert!(error.to_string().contains("more than"), "{error}");
}

#[test]
fn a_header_of_another_version_is_named() {
    for (header, accepted, sent) in [
        (CLIENT_HEADER.to_vec(), Version::V2, "version 1"),
        (Header::local().to_v2(false), Version::V1, "version 2"),
    ] {
        let error = receive(&[&header], accepted).expect_err("it is not accepted");
        let expected =
            format!("expected a PROXY header, found one of {sent}, which is not accepted");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_wrong_checksum_is_an_error() {
    let mut header = at("203.0.113.1:5", "198.51.100.7:443").to_v2(true);
    *header.last_mut().expect("it is not empty") ^= 1;
    let error = receive(&[&header], Version::V2).expect_err("it is wrong");
    assert_eq!(error.to_string(), "PROXY header: wrong checksum");
}
