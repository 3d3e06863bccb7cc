//! Checks that hold for any bytes: the parser ends, and the encoder sends what was parsed.

use std::io::ErrorKind;

use futures_lite::{AsyncReadExt, future, io};
use halves::proxy_protocol::{Header, ProxyProtocol, Version};
use halves::{Connection, Peer};

use super::pieces::Pieces;

/// Parses any bytes. A header that is valid is sent in both versions, and parsed again.
pub(crate) fn check(bytes: &[u8]) {
    for version in [Version::V1, Version::V2, Version::Any] {
        let Ok(Some((header, length))) = Header::parse(bytes, version) else {
            continue;
        };
        let (consumed, rest) = bytes.split_at(length);
        let again = Header::parse(consumed, version).expect("the rest does not matter");
        assert_eq!(again, Some((header.clone(), length)), "before {rest:?}");
        for end in 0..length {
            assert_eq!(
                Header::parse(&bytes[..end], version),
                Ok(None),
                "{end} bytes"
            );
        }
        for checksum in [false, true] {
            let sent = header.to_v2(checksum);
            let received = Header::parse(&sent, Version::V2).expect("it is valid");
            let (received, length) = received.expect("it is complete");
            assert_eq!(length, sent.len());
            assert_eq!(received.addresses(), header.addresses());
            if header.addresses().is_some() {
                assert_eq!(received.tlvs(), header.tlvs());
            }
        }
        let sent = header.to_v1();
        let received = Header::parse(&sent, Version::V1).expect("it is valid");
        let (received, length) = received.expect("it is complete");
        assert_eq!(length, sent.len());
        if let Some(addresses) = received.addresses() {
            assert_eq!(Some(addresses), header.addresses());
        }
    }
}

/// Receives a header from any bytes, of which each is a piece, or half of them are one. The result
/// is that of the parser.
pub(crate) fn check_received(bytes: &[u8]) {
    for version in [Version::V1, Version::V2, Version::Any] {
        for size in [1, (bytes.len() / 2).max(1)] {
            let chunks = bytes.chunks(size).flat_map(|chunk| [chunk, b""]);
            let pieces = Pieces(chunks.map(<[u8]>::to_vec).collect());
            let peer = Peer::default().anonymous();
            let connection = Connection::from_parts(pieces, io::sink(), peer);
            let received = ProxyProtocol::new(version).receive(connection);
            match (future::block_on(received), Header::parse(bytes, version)) {
                (Ok(mut connection), Ok(Some((header, length)))) => {
                    assert_eq!(connection.peer.proxy().as_deref(), Some(&header));
                    let mut rest = Vec::new();
                    let read = connection.reader.read_to_end(&mut rest);
                    future::block_on(read).expect("the pieces have no error");
                    assert_eq!(rest, bytes[length..]);
                }
                (Err(error), Ok(None)) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
                (Err(error), Err(_)) => assert_eq!(error.kind(), ErrorKind::InvalidData),
                (received, parsed) => panic!("{received:?} for {parsed:?}"),
            }
        }
    }
}
