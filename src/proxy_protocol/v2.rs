//! Version 2: a binary header.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::crc32c::crc32c;
use super::tlv::{CRC32C, MAX_TLVS_BYTES, TLV_HEADER_BYTES, Tlvs, fields};
use super::v1::socket_addresses;
use super::{Addresses, Header, HeaderError};
use crate::connection::{Endpoint, UnixName};

pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and protocol, and the length of the rest.
const FIXED_BYTES: usize = 16;
/// The size of a path of a Unix socket.
const PATH_BYTES: usize = 108;
pub(super) const MAX_HEADER_BYTES: usize = FIXED_BYTES + 2 * PATH_BYTES + MAX_TLVS_BYTES;
/// The type and length of a checksum, and the checksum.
const CHECKSUM_TLV_BYTES: usize = TLV_HEADER_BYTES + 4;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// An address family and a protocol.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;

/// Parses the header at the beginning of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let compared = bytes.len().min(SIGNATURE.len());
    if bytes[..compared] != SIGNATURE[..compared] {
        return Err(HeaderError::Missing);
    }
    let command = bytes.get(SIGNATURE.len()).copied();
    if command.is_some_and(|command| !matches!(command, LOCAL | PROXY)) {
        return Err(HeaderError::Invalid("version or command"));
    }
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
        return Ok(None);
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED_BYTES + length > MAX_HEADER_BYTES {
        return Err(HeaderError::TooLong(MAX_HEADER_BYTES));
    }
    let Some(rest) = rest.get(..length) else {
        return Ok(None);
    };
    let end = FIXED_BYTES + length;
    // The family, the addresses and the TLVs of LOCAL are discarded, as the specification demands.
    if command == LOCAL {
        return Ok(Some((Header::local(), end)));
    }
    let (addresses, tlvs) = addresses(family, rest)?;
    let header = Header {
        addresses,
        tlvs: Tlvs::parse(tlvs)?,
    };
    verify(&bytes[..end], tlvs)?;
    Ok(Some((header, end)))
}

/// Splits the bytes after the fixed part into the addresses and the TLVs.
fn addresses(family: u8, rest: &[u8]) -> Result<(Option<Addresses>, &[u8]), HeaderError> {
    let (family, protocol) = (family >> 4, family & 0x0f);
    if family > 3 || protocol > 2 {
        return Err(HeaderError::Invalid("family or protocol"));
    }
    let split = match family {
        1 => inet::<4>(rest),
        2 => inet::<16>(rest),
        3 => unix(rest),
        _ => return Ok((None, rest)),
    };
    let (addresses, tlvs) = split.ok_or(HeaderError::Invalid("length"))?;
    // Datagrams do not arrive on a stream, so their addresses are not those of a client.
    Ok(((protocol == 1).then_some(addresses), tlvs))
}

/// Decodes two IP addresses of `N` bytes and two ports.
fn inet<const N: usize>(bytes: &[u8]) -> Option<(Addresses, &[u8])>
where
    IpAddr: From<[u8; N]>,
{
    let (source, bytes) = bytes.split_first_chunk::<N>()?;
    let (destination, bytes) = bytes.split_first_chunk::<N>()?;
    let (source_port, bytes) = bytes.split_first_chunk()?;
    let (destination_port, tlvs) = bytes.split_first_chunk()?;
    let endpoint = |ip, port| SocketAddr::new(IpAddr::from(ip), u16::from_be_bytes(port)).into();
    let addresses = Addresses {
        source: endpoint(*source, *source_port),
        destination: endpoint(*destination, *destination_port),
    };
    Some((addresses, tlvs))
}

/// Decodes two names of Unix sockets.
fn unix(bytes: &[u8]) -> Option<(Addresses, &[u8])> {
    let (source, bytes) = bytes.split_at_checked(PATH_BYTES)?;
    let (destination, tlvs) = bytes.split_at_checked(PATH_BYTES)?;
    let addresses = Addresses {
        source: Endpoint::Unix(unix_name(source)),
        destination: Endpoint::Unix(unix_name(destination)),
    };
    Some((addresses, tlvs))
}

/// Decodes a `sun_path`: an abstract name begins with a NUL, a path ends before the first one.
fn unix_name(field: &[u8]) -> UnixName {
    let end = |bytes: &[u8]| {
        bytes
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(bytes.len())
    };
    match field {
        [0, name @ ..] if end(name) > 0 => UnixName::Abstract(name[..end(name)].into()),
        [0, ..] | [] => UnixName::Unnamed,
        path => UnixName::Path(Path::new(OsStr::from_bytes(&path[..end(path)])).into()),
    }
}

/// Compares the checksum, if there is one, with that of the header in which it is 0.
fn verify(header: &[u8], tlvs: &[u8]) -> Result<(), HeaderError> {
    let mut end = header.len() - tlvs.len();
    for tlv in fields(tlvs) {
        end += tlv.encoded_bytes();
        if tlv.kind == CRC32C {
            let expected = <[u8; 4]>::try_from(tlv.value)
                .map_err(|_| HeaderError::Invalid("length of the checksum"))?;
            let before = &header[..end - expected.len()];
            let actual = crc32c(&[before, &[0; 4], &header[end..]]);
            return if actual == u32::from_be_bytes(expected) {
                Ok(())
            } else {
                Err(HeaderError::Checksum)
            };
        }
    }
    Ok(())
}

/// Encodes the header.
pub(super) fn encode(header: &Header, checksum: bool) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    let (command, (family, addresses)) = match header.addresses() {
        Some(addresses) => (PROXY, block(addresses)),
        None => (LOCAL, (UNSPECIFIED, Vec::new())),
    };
    let tlvs = header.tlvs.as_bytes();
    let checksum_bytes = if checksum { CHECKSUM_TLV_BYTES } else { 0 };
    // Bounded by MAX_HEADER_BYTES and a checksum.
    let length = u16::try_from(addresses.len() + tlvs.len() + checksum_bytes).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&[command, family]);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&addresses);
    bytes.extend_from_slice(tlvs);
    if checksum {
        bytes.extend_from_slice(&[CRC32C, 0, 4]);
        let value = crc32c(&[&bytes, &[0; 4]]);
        bytes.extend_from_slice(&value.to_be_bytes());
    }
    bytes
}

/// Encodes the family and the addresses.
fn block(addresses: &Addresses) -> (u8, Vec<u8>) {
    if let Some((source, destination)) = socket_addresses(addresses) {
        let mut bytes = Vec::new();
        for address in [source, destination] {
            match address.ip() {
                IpAddr::V4(ip) => bytes.extend_from_slice(&ip.octets()),
                IpAddr::V6(ip) => bytes.extend_from_slice(&ip.octets()),
            }
        }
        bytes.extend_from_slice(&source.port().to_be_bytes());
        bytes.extend_from_slice(&destination.port().to_be_bytes());
        return (if source.is_ipv4() { TCP4 } else { TCP6 }, bytes);
    }
    if let (Endpoint::Unix(source), Endpoint::Unix(destination)) =
        (&addresses.source, &addresses.destination)
    {
        return (UNIX_STREAM, [path(source), path(destination)].concat());
    }
    (UNSPECIFIED, Vec::new())
}

/// Encodes a `sun_path`. A name that does not fit is left out.
fn path(name: &UnixName) -> Vec<u8> {
    let mut bytes = match name {
        UnixName::Path(path) => path.as_os_str().as_bytes().to_vec(),
        UnixName::Abstract(name) => [b"\0", &name[..]].concat(),
        UnixName::Unnamed => Vec::new(),
    };
    if bytes.len() > PATH_BYTES {
        bytes.clear();
    }
    bytes.resize(PATH_BYTES, 0);
    bytes
}
