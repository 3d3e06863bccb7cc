//! Headers of the PROXY protocol: random bytes, and random headers beside those of another codec.

mod admission;
#[cfg(feature = "tls")]
mod before_tls;
mod check;
mod garbage;
mod passed_on;
mod received;
mod sockets;
mod sources;
mod waiting;

use std::net::{IpAddr, SocketAddr};

use fastrand::Rng;
use halves::Endpoint;
use halves::proxy_protocol::{Header, Tlvs, Version};
use ppp::{v1, v2};

use crate::support::{pieces, seed::seed};

fn random_ip(random: &mut Rng, is_v4: bool) -> IpAddr {
    if is_v4 {
        random.u32(..).to_be_bytes().into()
    } else {
        // Not an IPv4-mapped one, which an endpoint would turn into one of IPv4.
        (random.u128(..) | 1 << 127).to_be_bytes().into()
    }
}

fn random_addresses(random: &mut Rng) -> [SocketAddr; 2] {
    let is_v4 = random.bool();
    [(); 2].map(|()| SocketAddr::new(random_ip(random, is_v4), random.u16(..)))
}

fn header([source, destination]: [SocketAddr; 2]) -> Header {
    Header::new(source, destination)
}

#[test]
fn any_bytes_end_in_a_header_an_error_or_a_wait() {
    let mut random = Rng::with_seed(seed());
    for _ in 0..20_000 {
        let mut bytes = match random.u8(..4) {
            0 => Header::local().to_v2(random.bool()),
            1 => header(random_addresses(&mut random)).to_v2(random.bool()),
            2 => header(random_addresses(&mut random)).to_v1(),
            _ => (0..random.usize(..64)).map(|_| random.u8(..)).collect(),
        };
        for _ in 0..random.usize(..4) {
            let position = random.usize(..=bytes.len());
            match bytes.get_mut(position) {
                Some(byte) => *byte = random.u8(..),
                None => bytes.push(random.u8(..)),
            }
        }
        check::check(&bytes);
    }
}

#[test]
fn another_codec_reads_the_headers_of_this_one() {
    let mut random = Rng::with_seed(seed());
    for _ in 0..2_000 {
        let addresses = random_addresses(&mut random);
        let value: Vec<u8> = (0..random.usize(..100)).map(|_| random.u8(..)).collect();
        let tlvs = Tlvs::default().with(0xe0, &value).expect("it is short");
        let ours = header(addresses).with_tlvs(tlvs);

        let line = ours.to_v1();
        let theirs = v1::Header::try_from(&line[..]).expect("it is valid");
        let [source, destination] = addresses;
        let (ips, ports) = (
            (source.ip(), destination.ip()),
            (source.port(), destination.port()),
        );
        let expected = match ips {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                v1::Addresses::new_tcp4(from, to, ports.0, ports.1)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                v1::Addresses::new_tcp6(from, to, ports.0, ports.1)
            }
            _ => unreachable!("both are of one family"),
        };
        assert_eq!(theirs.addresses, expected);

        let bytes = ours.to_v2(random.bool());
        let theirs = v2::Header::try_from(&bytes[..]).expect("it is valid");
        assert_eq!(theirs.addresses, (source, destination).into());
        let tlv = theirs
            .tlvs()
            .next()
            .expect("one was sent")
            .expect("it is valid");
        assert_eq!((tlv.kind, &tlv.value[..]), (0xe0, &value[..]));
    }
}

#[test]
fn the_headers_of_another_codec_are_read() {
    let mut random = Rng::with_seed(seed());
    for _ in 0..2_000 {
        let [source, destination] = random_addresses(&mut random);
        let command = v2::Version::Two | v2::Command::Proxy;
        let protocol = v2::Protocol::Stream;
        let bytes = v2::Builder::with_addresses(command, protocol, (source, destination))
            .write_tlv(v2::Type::Authority, b"www.example.org")
            .and_then(v2::Builder::build)
            .expect("it is short");
        let parsed = Header::parse(&bytes, Version::Any).expect("it is valid");
        let (header, length) = parsed.expect("it is complete");
        assert_eq!(length, bytes.len());
        let addresses = header.addresses().expect("it has addresses");
        assert_eq!(addresses.source, Endpoint::from(source));
        assert_eq!(addresses.destination, Endpoint::from(destination));
        assert_eq!(header.tlvs().authority(), Some("www.example.org"));
    }
}
