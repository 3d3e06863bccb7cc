//! Checks that hold for any bytes: the parser ends, and the encoder sends what was parsed.

use halves::proxy_protocol::{Header, Version};

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
