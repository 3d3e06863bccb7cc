//! Version 1: a line of text.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::{self, FromStr};

use super::{Addresses, Header, HeaderError};

/// The longest header: `PROXY UNKNOWN`, two IPv6 addresses, two ports and CRLF.
pub(super) const MAX_HEADER_BYTES: usize = 107;

pub(super) const PREFIX: &[u8] = b"PROXY ";

/// Parses the line at the beginning of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let compared = bytes.len().min(PREFIX.len());
    if bytes[..compared] != PREFIX[..compared] {
        return Err(HeaderError::Missing);
    }
    let window = &bytes[..bytes.len().min(MAX_HEADER_BYTES)];
    let Some(end) = window.iter().position(|&byte| byte == b'\n') else {
        return match window.len() {
            MAX_HEADER_BYTES => Err(HeaderError::TooLong(MAX_HEADER_BYTES)),
            _ => Ok(None),
        };
    };
    let Some(line) = window[..end].strip_suffix(b"\r") else {
        return Err(HeaderError::Invalid("end of line"));
    };
    let header = Header {
        addresses: addresses(&line[PREFIX.len().min(line.len())..])?,
        ..Header::default()
    };
    Ok(Some((header, end + 1)))
}

fn addresses(fields: &[u8]) -> Result<Option<Addresses>, HeaderError> {
    // Anything after UNKNOWN is ignored, as the specification demands.
    if fields == b"UNKNOWN" || fields.starts_with(b"UNKNOWN ") {
        return Ok(None);
    }
    let fields = str::from_utf8(fields).map_err(|_| HeaderError::Invalid("text"))?;
    let mut fields = fields.split(' ');
    let mut next = |name| fields.next().ok_or(HeaderError::Invalid(name));
    let family = next("family")?;
    let [source, destination] = [next("source address")?, next("destination address")?];
    let ports = [
        port(next("source port")?).ok_or(HeaderError::Invalid("source port"))?,
        port(next("destination port")?).ok_or(HeaderError::Invalid("destination port"))?,
    ];
    if fields.next().is_some() {
        return Err(HeaderError::Invalid("number of fields"));
    }
    let (source, destination) = match family {
        "TCP4" => (
            address::<Ipv4Addr>(source),
            address::<Ipv4Addr>(destination),
        ),
        "TCP6" => (
            address::<Ipv6Addr>(source),
            address::<Ipv6Addr>(destination),
        ),
        _ => return Err(HeaderError::Invalid("family")),
    };
    let source = source.ok_or(HeaderError::Invalid("source address"))?;
    let destination = destination.ok_or(HeaderError::Invalid("destination address"))?;
    Ok(Some(Addresses {
        source: SocketAddr::new(source, ports[0]).into(),
        destination: SocketAddr::new(destination, ports[1]).into(),
    }))
}

fn address<A: FromStr + Into<IpAddr>>(text: &str) -> Option<IpAddr> {
    text.parse::<A>().ok().map(Into::into)
}

/// Parses a port. Signs and leading zeros are not permitted.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    text.parse().ok().filter(|_| digits && canonical)
}

/// Encodes the header as a line.
pub(super) fn encode(header: &Header) -> Vec<u8> {
    let mut line = PREFIX.to_vec();
    match header.addresses().and_then(socket_addresses) {
        None => line.extend_from_slice(b"UNKNOWN\r\n"),
        Some((source, destination)) => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (source_ip, source_port) = (source.ip(), source.port());
            let (destination_ip, destination_port) = (destination.ip(), destination.port());
            // A write into a vector does not fail.
            let _ = write!(
                line,
                "{family} {source_ip} {destination_ip} {source_port} {destination_port}\r\n"
            );
        }
    }
    line
}

/// Returns two addresses of one family.
pub(super) fn socket_addresses(addresses: &Addresses) -> Option<(SocketAddr, SocketAddr)> {
    let source = addresses.source.socket_addr()?;
    let destination = addresses.destination.socket_addr()?;
    if source.is_ipv4() == destination.is_ipv4() {
        return Some((source, destination));
    }
    Some((mapped(source), mapped(destination)))
}

/// Returns the address as one of IPv6.
fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}
