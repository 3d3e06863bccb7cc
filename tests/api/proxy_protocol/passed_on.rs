//! The header that is sent in front of an outgoing connection.

use std::net::SocketAddr;
use std::path::Path;

use futures_lite::{future, io};
use halves::connection::UnixName;
use halves::proxy_protocol::{Header, ProxyProtocol, Tlvs, Version, send};
use halves::{Connection, Endpoint, Peer};
use ppp::{v1, v2};

use crate::support::harness::network::endpoint;

fn sent(header: &Header, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    future::block_on(send(&mut bytes, header, version)).expect("no error");
    bytes
}

/// The header of a client that has come with `header`.
fn passed_on(header: &Header) -> Header {
    let peer = Peer::new(endpoint("10.0.0.1:1"), endpoint("10.0.0.2:2")).anonymous();
    let bytes = header.to_v2(true);
    let connection = Connection::from_parts(&bytes[..], io::sink(), peer);
    let received = ProxyProtocol::new(Version::V2).receive(connection);
    Header::of(&future::block_on(received).expect("a header").peer)
}

#[test]
fn another_codec_reads_what_is_sent() {
    let client = Peer::new(endpoint("203.0.113.1:5"), endpoint("198.51.100.7:443"));
    let header = Header::of(&client);
    let (source, destination): (SocketAddr, SocketAddr) = (
        "203.0.113.1:5".parse().expect("an address"),
        "198.51.100.7:443".parse().expect("an address"),
    );
    let line = sent(&header, Version::V1);
    let theirs = v1::Header::try_from(&line[..]).expect("it is valid");
    let expected = v1::Addresses::from((source, destination));
    assert_eq!(theirs.addresses, expected);
    for version in [Version::V2, Version::Any] {
        let bytes = sent(&header, version);
        let theirs = v2::Header::try_from(&bytes[..]).expect("it is valid");
        assert_eq!(theirs.addresses, (source, destination).into());
        let checksum = theirs.tlvs().next().expect("one").expect("it is valid");
        assert_eq!(checksum.kind, u8::from(v2::Type::CRC32C));
    }
}

#[test]
fn a_client_behind_a_load_balancer_is_passed_on_as_it_came() {
    let tlvs = Tlvs::default().with_authority("www.example.org");
    let header = Header::new(endpoint("203.0.113.1:5"), endpoint("198.51.100.7:443"));
    let header = header.with_tlvs(tlvs.expect("it is short"));
    assert_eq!(passed_on(&header), header);
}

#[test]
fn the_load_balancers_own_connection_is_passed_on_with_its_addresses() {
    let expected = Header::new(endpoint("10.0.0.1:1"), endpoint("10.0.0.2:2"));
    assert_eq!(passed_on(&Header::local()), expected);
}

#[test]
fn a_unix_client_is_passed_on_with_the_paths_that_are_known() {
    let path = |path: &str| Endpoint::Unix(UnixName::Path(Path::new(path).into()));
    let unnamed = Endpoint::Unix(UnixName::Unnamed);
    let header = Header::of(&Peer::new(unnamed.clone(), path("/run/x.sock")));
    let bytes = sent(&header, Version::V2);
    let theirs = v2::Header::try_from(&bytes[..]).expect("it is valid");
    let v2::Addresses::Unix(addresses) = theirs.addresses else {
        panic!("{:?}", theirs.addresses)
    };
    assert_eq!(addresses.source, [0; 108]);
    assert!(addresses.destination.starts_with(b"/run/x.sock\0"));
    assert_eq!(sent(&header, Version::V1), b"PROXY UNKNOWN\r\n");
}

#[test]
fn clients_of_other_streams_are_unspecified() {
    let header = Header::of(&Peer::new(Endpoint::Memory, Endpoint::Memory));
    let bytes = sent(&header, Version::V2);
    let theirs = v2::Header::try_from(&bytes[..]).expect("it is valid");
    assert_eq!(theirs.addresses, v2::Addresses::Unspecified);
    assert_eq!(sent(&header, Version::V1), b"PROXY UNKNOWN\r\n");
}
