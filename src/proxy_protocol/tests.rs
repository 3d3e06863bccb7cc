//! Headers of both versions: exact bytes, every prefix, and invalid headers.

use std::net::SocketAddr;
use std::path::Path;

use super::*;
use crate::connection::UnixName;

fn at(text: &str) -> Endpoint {
    text.parse::<SocketAddr>().expect("an address").into()
}

fn path(text: &str) -> Endpoint {
    Endpoint::Unix(UnixName::Path(Path::new(text).into()))
}

/// Parses a complete header, followed by payload that is left alone. Each prefix is incomplete.
fn complete(bytes: &[u8], version: Version) -> Header {
    for end in 0..bytes.len() {
        assert_eq!(Header::parse(&bytes[..end], version), Ok(None), "{end}");
    }
    let sent = [bytes, b"payload"].concat();
    let parsed = Header::parse(&sent, version).expect("it is valid");
    let (header, length) = parsed.expect("it is complete");
    assert_eq!(length, bytes.len());
    header
}

fn error(bytes: &[u8]) -> HeaderError {
    Header::parse(bytes, Version::Any).expect_err("it is invalid")
}

/// A header of version 2 with this command, family and protocol, and rest.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len())
        .expect("it is short")
        .to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n",
        &[command, family][..],
        &length,
        rest,
    ]
    .concat()
}

#[test]
fn both_versions_carry_addresses_of_tcp() {
    for (source, destination, family) in [
        ("192.0.2.1:65535", "198.51.100.7:0", "TCP4"),
        ("[2001:db8::1]:1", "[2001:db8::2]:443", "TCP6"),
    ] {
        let header = Header::new(at(source), at(destination));
        let line = header.to_v1();
        assert!(line.starts_with(format!("PROXY {family} ").as_bytes()));
        assert_eq!(complete(&line, Version::V1), header);
        for checksum in [false, true] {
            assert_eq!(complete(&header.to_v2(checksum), Version::V2), header);
        }
        assert_eq!(complete(&line, Version::Any), header);
    }
}

#[test]
fn version_2_has_the_bytes_of_the_specification() {
    let header = Header::new(at("192.0.2.1:256"), at("198.51.100.7:443"));
    let rest = [192, 0, 2, 1, 198, 51, 100, 7, 1, 0, 1, 187];
    assert_eq!(header.to_v2(false), v2(0x21, 0x11, &rest));
}

#[test]
fn version_2_carries_names_of_unix_sockets() {
    let longest = "/".repeat(108);
    let abstract_name = Endpoint::Unix(UnixName::Abstract(b"halves"[..].into()));
    for (source, destination) in [
        (path("/run/client"), path(&longest)),
        (Endpoint::Unix(UnixName::Unnamed), abstract_name),
    ] {
        let header = Header::new(source, destination);
        assert_eq!(complete(&header.to_v2(false), Version::V2), header);
        assert_eq!(header.to_v1(), b"PROXY UNKNOWN\r\n");
    }
    let header = Header::new(path(&"/".repeat(109)), path("/run/x"));
    let unnamed = Header::new(Endpoint::Unix(UnixName::Unnamed), path("/run/x"));
    assert_eq!(header.to_v2(false), unnamed.to_v2(false), "it does not fit");
}

#[test]
fn an_ipv4_address_beside_one_of_ipv6_is_mapped() {
    let header = Header::new(at("192.0.2.1:1"), at("[2001:db8::2]:2"));
    assert_eq!(
        header.to_v1(),
        b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n"
    );
    assert_eq!(complete(&header.to_v2(true), Version::V2), header);
}

#[test]
fn unknown_and_local_leave_the_addresses_of_the_transport() {
    for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 any thing\r\n"] {
        assert_eq!(complete(line.as_bytes(), Version::V1), Header::local());
    }
    for rest in [&b""[..], b"anything", &[0; 12]] {
        assert_eq!(
            complete(&v2(0x20, 0x11, rest), Version::V2),
            Header::local()
        );
    }
    // Datagrams over IPv4, and an unspecified family.
    for (family, rest) in [(0x12, &[1; 12][..]), (0x00, b""), (0x10, &[1; 12])] {
        assert_eq!(
            complete(&v2(0x21, family, rest), Version::V2).addresses(),
            None
        );
    }
}

#[test]
fn a_header_of_another_version_is_missing() {
    let header = Header::local();
    assert_eq!(
        Header::parse(&header.to_v1(), Version::V2),
        Err(HeaderError::Missing)
    );
    assert_eq!(
        Header::parse(&header.to_v2(false), Version::V1),
        Err(HeaderError::Missing)
    );
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x03\x01",
        b"PROXX",
        b"proxy TCP4",
        b"\r\n\r\n\r",
    ] {
        assert_eq!(error(bytes), HeaderError::Missing, "{bytes:?}");
    }
}

#[test]
fn an_invalid_line_is_an_error() {
    for (line, part) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "end of line"),
        ("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", "family"),
        ("PROXY UNKNOWNS\r\n", "source address"),
        ("PROXY \r\n", "source address"),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "destination port"),
        (
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "number of fields",
        ),
        (
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            "number of fields",
        ),
        ("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", "source port"),
        ("PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", "source address"),
        ("PROXY TCP4 192.0.2.1 ::1 1 2\r\n", "destination address"),
        ("PROXY TCP6 192.0.2.1 ::1 1 2\r\n", "source address"),
        ("PROXY TCP6 fe80::1%lo ::1 1 2\r\n", "source address"),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", "source port"),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", "source port"),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "source port"),
        ("PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n", "source port"),
    ] {
        assert_eq!(
            error(line.as_bytes()),
            HeaderError::Invalid(part),
            "{line:?}"
        );
    }
}

#[test]
fn a_line_has_107_bytes_at_most() {
    let line = |length: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(length - 16));
    complete(line(106).as_bytes(), Version::V1);
    complete(line(107).as_bytes(), Version::V1);
    assert_eq!(error(line(108).as_bytes()), HeaderError::TooLong(107));
    let endless = line(200);
    assert_eq!(
        Header::parse(&endless.as_bytes()[..106], Version::V1),
        Ok(None)
    );
    assert_eq!(error(&endless.as_bytes()[..107]), HeaderError::TooLong(107));
}

#[test]
fn an_invalid_binary_header_is_an_error() {
    for command in [0x00, 0x11, 0x22, 0x31, 0xff] {
        let expected = HeaderError::Invalid("version or command");
        assert_eq!(error(&v2(command, 0x11, &[0; 12])), expected);
        assert_eq!(
            error(&v2(command, 0, &[])[..13]),
            expected,
            "as early as that"
        );
    }
    for family in [0x13, 0x41, 0xff] {
        assert_eq!(
            error(&v2(0x21, family, &[0; 216])),
            HeaderError::Invalid("family or protocol")
        );
    }
    for (family, length) in [(0x11, 12), (0x21, 36), (0x31, 216)] {
        let rest = vec![0; length];
        complete(&v2(0x21, family, &rest), Version::V2);
        assert_eq!(
            error(&v2(0x21, family, &rest[1..])),
            HeaderError::Invalid("length")
        );
        let rest = vec![0; length + 1];
        assert_eq!(error(&v2(0x21, family, &rest)), HeaderError::Invalid("TLV"));
    }
}

#[test]
fn tlvs_have_4_kib_at_most() {
    let with = |bytes: usize| {
        let value = u16::try_from(bytes - 3).expect("it is short").to_be_bytes();
        [&[0; 12][..], &[0xe0], &value, &vec![7; bytes - 3]].concat()
    };
    for bytes in [4095, 4096] {
        let header = complete(&v2(0x21, 0x11, &with(bytes)), Version::V2);
        assert_eq!(header.tlvs().get(0xe0).map(<[u8]>::len), Some(bytes - 3));
    }
    let too_long = HeaderError::TooLong(Header::MAX_V2_BYTES);
    assert_eq!(error(&v2(0x21, 0x11, &with(4097))), too_long);
    // Refused by its length alone.
    assert_eq!(error(&v2(0x20, 0, &vec![0; 4313])[..16]), too_long);
    complete(&v2(0x20, 0, &vec![0; 4312]), Version::V2);
    assert!(Tlvs::default().with(0xe0, &[0; 4093]).is_ok());
    assert_eq!(Tlvs::default().with(0xe0, &[0; 4094]), Err(too_long));
}

#[test]
fn tlvs_say_what_the_balancer_knows() {
    let tls = [
        &[0x03, 0, 0, 0, 0][..],
        b"\x21\0\x07TLSv1.3",
        b"\x22\0\x05alice",
        b"\x23\0\x16TLS_AES_128_GCM_SHA256",
    ]
    .concat();
    let tlvs = || -> Result<Tlvs, HeaderError> {
        Tlvs::default()
            .with_alpn(b"h2")?
            .with(0x04, b"padding")?
            .with_authority("www.example.org")?
            .with_unique_id(&[9; 128])?
            .with(0x30, b"blue")?
            .with(0x20, &tls)
    };
    let sent = Header::new(at("192.0.2.1:1"), at("192.0.2.2:2")).with_tlvs(tlvs().expect("short"));
    let received = complete(&sent.to_v2(false), Version::V2);
    assert_eq!(received, sent);
    let tlvs = received.tlvs();
    assert_eq!(tlvs.alpn(), Some(&b"h2"[..]));
    assert_eq!(tlvs.authority(), Some("www.example.org"));
    assert_eq!(tlvs.unique_id(), Some(&[9; 128][..]));
    assert_eq!(tlvs.network_namespace(), Some(&b"blue"[..]));
    assert_eq!(tlvs.iter().count(), 5, "without the padding");
    let tls = tlvs.tls().expect("it is TLS");
    assert_eq!(
        (tls.version(), tls.common_name()),
        (Some("TLSv1.3"), Some("alice"))
    );
    assert_eq!(tls.cipher(), Some("TLS_AES_128_GCM_SHA256"));
    assert!(tls.is_client_verified());
}

#[test]
fn invalid_tlvs_are_an_error() {
    let rest = |tlv: &[u8]| [&[0; 12][..], tlv].concat();
    for (tlv, expected) in [
        (&b"\xe0\0"[..], HeaderError::Invalid("TLV")),
        (b"\xe0\0\x02a", HeaderError::Invalid("TLV")),
        (b"\x02\0\x01\xff", HeaderError::Invalid("authority")),
        (b"\x20\0\x04\x01\0\0\0", HeaderError::Invalid("TLS facts")),
        (b"\x20\0\x07\x01\0\0\0\0\x21\0", HeaderError::Invalid("TLV")),
        (
            b"\x03\0\x03abc",
            HeaderError::Invalid("length of the checksum"),
        ),
        (b"\x03\0\x04abcd", HeaderError::Checksum),
    ] {
        assert_eq!(error(&v2(0x21, 0x11, &rest(tlv))), expected, "{tlv:?}");
    }
    let id = [&b"\x05\0\x81"[..], &[7; 129]].concat();
    assert_eq!(
        error(&v2(0x21, 0x11, &rest(&id))),
        HeaderError::Invalid("unique ID")
    );
}

#[test]
fn any_changed_bit_breaks_the_checksum() {
    let tlvs = Tlvs::default().with(0xe0, b"ours").expect("short");
    let header = Header::new(at("192.0.2.1:1"), at("192.0.2.2:2")).with_tlvs(tlvs);
    let mut bytes = header.to_v2(true);
    // After the fixed part, where no length is.
    let unguarded = 12 + 4..bytes.len();
    for position in unguarded.filter(|position| !(28..31).contains(position)) {
        for bit in 0..8 {
            bytes[position] ^= 1 << bit;
            let parsed = Header::parse(&bytes, Version::V2);
            assert!(
                !matches!(parsed, Ok(Some((parsed, _))) if parsed == header),
                "{position}"
            );
            bytes[position] ^= 1 << bit;
        }
    }
    assert_eq!(
        complete(&bytes, Version::V2).addresses(),
        header.addresses()
    );
}
