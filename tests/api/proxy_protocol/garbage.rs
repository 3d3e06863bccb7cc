//! Any bytes are received as they are parsed.

use fastrand::Rng;
use halves::Endpoint;
use halves::proxy_protocol::Header;

use super::check;
use super::sources::CLIENT_HEADER;
use crate::support::seed::seed;

/// Bytes that often begin like a header.
fn random_input(random: &mut Rng) -> Vec<u8> {
    let header = Header::new(Endpoint::Memory, Endpoint::Memory);
    let mut bytes = match random.u8(..5) {
        0 => CLIENT_HEADER.to_vec(),
        1 => header.to_v2(true),
        2 => Header::local().to_v2(false),
        3 => b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec(),
        _ => Vec::new(),
    };
    let more = random.usize(..300);
    bytes.extend((0..more).map(|_| random.u8(..)));
    for _ in 0..random.usize(..3) {
        let position = random.usize(..=bytes.len());
        if let Some(byte) = bytes.get_mut(position) {
            *byte = random.u8(..);
        }
    }
    bytes
}

#[test]
fn the_bytes_that_are_received_are_those_of_the_header() {
    let mut random = Rng::with_seed(seed());
    for _ in 0..5_000 {
        check::check_received(&random_input(&mut random));
    }
}
