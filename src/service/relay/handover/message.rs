//! The description of a relay, for the process that goes on with it.
//!
//! A version byte comes first. Numbers are little-endian, and a text has its length in front. The
//! descriptors are not part of the message.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::connection::{Carried, Endpoint, UnixName};

/// The version of the message. Another version is refused.
pub(super) const VERSION: u8 = 1;
/// The most bytes of a message.
pub(super) const MAX_MESSAGE_BYTES: usize = 4096;
/// The most bytes that a direction holds: a pipe, a chunk, an outbox and bytes read ahead.
pub(super) const MAX_UNSENT_BYTES: usize = 2 * 1024 * 1024;

/// The description of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The counts and the times of the near side.
    pub(super) carried: Carried,
    /// The address of the real client, if the near side is a proxy.
    pub(super) real: Option<Endpoint>,
    pub(super) near: Side,
    pub(super) far: Side,
    pub(super) there: Way,
    pub(super) back: Way,
    /// The address of the target.
    pub(super) target: String,
}

/// One side of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) remote: Endpoint,
    pub(super) local: Endpoint,
    /// A read or write has failed, so a later end of input is an error.
    pub(super) has_failed: bool,
}

/// One direction of a relay. Ends of input are not stored: the next read finds them again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// The number of bytes that are read and not written.
    pub(super) unsent: usize,
    /// The sink accepts no more bytes, with this error.
    pub(super) refused: Option<ErrorKind>,
}

/// The errors with which a sink refuses bytes. The index is the number in a message.
const REFUSALS: [Option<ErrorKind>; 4] = [
    None,
    Some(ErrorKind::BrokenPipe),
    Some(ErrorKind::ConnectionReset),
    Some(ErrorKind::NotConnected),
];

const UNKNOWN: u8 = 0;
const V4: u8 = 1;
const V6: u8 = 2;
const UNNAMED: u8 = 3;
const PATH: u8 = 4;
const ABSTRACT: u8 = 5;

impl Message {
    /// Returns None if the relay cannot be described, or a bound is exceeded.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let ways = [&self.there, &self.back];
        let is_bounded = ways.iter().all(|way| way.unsent <= MAX_UNSENT_BYTES);
        let bytes = is_bounded.then(|| self.unbounded())??;
        (bytes.len() <= MAX_MESSAGE_BYTES).then_some(bytes)
    }

    fn unbounded(&self) -> Option<Vec<u8>> {
        let mut out = Encoder(vec![VERSION]);
        out.nanos(self.carried.age);
        out.nanos(self.carried.idle);
        out.number(self.carried.bytes_in);
        out.number(self.carried.bytes_out);
        out.0.push(self.real.is_some().into());
        if let Some(real) = &self.real {
            out.endpoint(real)?;
        }
        for side in [&self.near, &self.far] {
            out.endpoint(&side.remote)?;
            out.endpoint(&side.local)?;
            out.0.push(side.has_failed.into());
        }
        for way in [&self.there, &self.back] {
            out.number(u64::try_from(way.unsent).ok()?);
            let refused = REFUSALS.iter().position(|&kind| kind == way.refused)?;
            out.0.push(u8::try_from(refused).ok()?);
        }
        out.bytes(self.target.as_bytes())?;
        Some(out.0)
    }

    /// Returns None if the bytes are not exactly one message of this version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Decoder(bytes);
        if from.byte()? != VERSION {
            return None;
        }
        let carried = Carried {
            age: Duration::from_nanos(from.number()?),
            idle: Duration::from_nanos(from.number()?),
            bytes_in: from.number()?,
            bytes_out: from.number()?,
        };
        let real = if from.flag()? {
            Some(from.endpoint()?)
        } else {
            None
        };
        let message = Self {
            carried,
            real,
            near: from.side()?,
            far: from.side()?,
            there: from.way()?,
            back: from.way()?,
            target: String::from_utf8(from.bytes()?.to_vec()).ok()?,
        };
        from.0.is_empty().then_some(message)
    }

    /// The number of bytes that both directions hold.
    pub(super) fn unsent(&self) -> usize {
        self.there.unsent + self.back.unsent
    }
}

struct Encoder(Vec<u8>);

impl Encoder {
    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn nanos(&mut self, time: Duration) {
        self.number(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.0
            .extend(u16::try_from(bytes.len()).ok()?.to_le_bytes());
        self.0.extend(bytes);
        Some(())
    }

    fn endpoint(&mut self, endpoint: &Endpoint) -> Option<()> {
        match endpoint {
            Endpoint::Unknown => self.0.push(UNKNOWN),
            Endpoint::Inet(SocketAddr::V4(v4)) => {
                self.0.push(V4);
                self.0.extend(v4.ip().octets());
                self.0.extend(v4.port().to_le_bytes());
            }
            Endpoint::Inet(SocketAddr::V6(v6)) => {
                self.0.push(V6);
                self.0.extend(v6.ip().octets());
                self.0.extend(v6.port().to_le_bytes());
                self.0.extend(v6.scope_id().to_le_bytes());
            }
            Endpoint::Unix(UnixName::Unnamed) => self.0.push(UNNAMED),
            Endpoint::Unix(UnixName::Path(path)) => {
                self.0.push(PATH);
                self.bytes(path.as_os_str().as_bytes())?;
            }
            Endpoint::Unix(UnixName::Abstract(name)) => {
                self.0.push(ABSTRACT);
                self.bytes(name)?;
            }
            // No end of a stream socket.
            _ => return None,
        }
        Some(())
    }
}

/// The bytes that are not decoded yet.
struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(length)?;
        self.0 = left;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn short(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.short()?;
        self.take(length.into())
    }

    fn endpoint(&mut self) -> Option<Endpoint> {
        Some(match self.byte()? {
            UNKNOWN => Endpoint::Unknown,
            V4 => {
                let ip = IpAddr::from(self.array::<4>()?);
                Endpoint::Inet(SocketAddr::new(ip, self.short()?))
            }
            V6 => {
                let ip = self.array::<16>()?.into();
                let port = self.short()?;
                let scope = u32::from_le_bytes(self.array()?);
                Endpoint::Inet(SocketAddrV6::new(ip, port, 0, scope).into())
            }
            UNNAMED => Endpoint::Unix(UnixName::Unnamed),
            PATH => {
                let path = Path::new(OsStr::from_bytes(self.bytes()?));
                Endpoint::Unix(UnixName::Path(path.into()))
            }
            ABSTRACT => Endpoint::Unix(UnixName::Abstract(self.bytes()?.into())),
            _ => return None,
        })
    }

    fn side(&mut self) -> Option<Side> {
        Some(Side {
            remote: self.endpoint()?,
            local: self.endpoint()?,
            has_failed: self.flag()?,
        })
    }

    fn way(&mut self) -> Option<Way> {
        let unsent = usize::try_from(self.number()?).ok()?;
        let refused = *REFUSALS.get(usize::from(self.byte()?))?;
        (unsent <= MAX_UNSENT_BYTES).then_some(Way { unsent, refused })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddrV4;
    use std::{env, panic};

    use fastrand::Rng;

    use super::*;

    fn endpoint(random: &mut Rng) -> Endpoint {
        let name = |random: &mut Rng| -> Vec<u8> {
            let length = random.usize(..108);
            (0..length).map(|_| random.u8(..)).collect()
        };
        match random.u8(..6) {
            0 => Endpoint::Unknown,
            1 => {
                let (ip, port) = (random.u32(..).into(), random.u16(..));
                Endpoint::Inet(SocketAddrV4::new(ip, port).into())
            }
            2 => {
                let (ip, port) = (random.u128(..).into(), random.u16(..));
                Endpoint::Inet(SocketAddrV6::new(ip, port, 0, random.u32(..)).into())
            }
            3 => Endpoint::Unix(UnixName::Unnamed),
            4 => {
                let path = name(random);
                let path = Path::new(OsStr::from_bytes(&path));
                Endpoint::Unix(UnixName::Path(path.into()))
            }
            _ => Endpoint::Unix(UnixName::Abstract(name(random).into())),
        }
    }

    fn message(random: &mut Rng) -> Message {
        let side = |random: &mut Rng| Side {
            remote: endpoint(random),
            local: endpoint(random),
            has_failed: random.bool(),
        };
        let way = |random: &mut Rng| Way {
            unsent: random.usize(..=MAX_UNSENT_BYTES),
            refused: REFUSALS[random.usize(..REFUSALS.len())],
        };
        Message {
            carried: Carried {
                age: Duration::from_nanos(random.u64(..)),
                idle: Duration::from_nanos(random.u64(..)),
                bytes_in: random.u64(..),
                bytes_out: random.u64(..),
            },
            real: random.bool().then(|| endpoint(random)),
            near: side(random),
            far: side(random),
            there: way(random),
            back: way(random),
            target: (0..random.u8(..)).map(|_| random.char(..)).collect(),
        }
    }

    #[test]
    fn random_messages_are_read_as_they_were_written_and_bad_ones_are_refused() {
        let given = env::var("HALVES_SEED").ok();
        let given: Option<u64> = given.map(|seed| seed.parse().expect("a number"));
        let first = given.unwrap_or_else(|| fastrand::u64(..1 << 48));
        for seed in first..first + given.map_or(500, |_| 1) {
            let checked = panic::catch_unwind(|| check(&mut Rng::with_seed(seed)));
            assert!(checked.is_ok(), "HALVES_SEED={seed}");
        }
    }

    fn check(random: &mut Rng) {
        let message = message(random);
        let bytes = message.encode().expect("short enough");
        assert_eq!(Message::decode(&bytes).as_ref(), Some(&message));
        let cut = random.usize(..bytes.len());
        assert_eq!(Message::decode(&bytes[..cut]), None, "cut at {cut}");
        assert_eq!(Message::decode(&[&bytes[..], &[0]].concat()), None);
        let mut other = bytes.clone();
        other[0] = VERSION + 1;
        assert_eq!(Message::decode(&other), None, "another version");
        // Neither a flipped bit nor noise panics.
        let at = random.usize(..bytes.len());
        other = bytes;
        other[at] ^= 1 << random.u8(..8);
        let _ = Message::decode(&other);
        let noise: Vec<u8> = (0..random.usize(..200)).map(|_| random.u8(..)).collect();
        let _ = Message::decode(&[&[VERSION], &noise[..]].concat());
    }

    #[test]
    fn lengths_are_bounded() {
        let mut message = message(&mut Rng::with_seed(1));
        message.there.unsent = MAX_UNSENT_BYTES;
        let bytes = message.encode().expect("short enough");
        assert!(Message::decode(&bytes).is_some());
        message.there.unsent += 1;
        assert_eq!(message.encode(), None, "too much is unsent");
        let bytes = message.unbounded().expect("it can be described");
        assert_eq!(Message::decode(&bytes), None, "too much is unsent");
        message.there.unsent = 0;
        message.target = String::new();
        let room = MAX_MESSAGE_BYTES - message.encode().expect("short enough").len();
        message.target = "a".repeat(room);
        let bytes = message.encode().expect("the longest");
        assert_eq!(bytes.len(), MAX_MESSAGE_BYTES);
        assert_eq!(Message::decode(&bytes), Some(message.clone()));
        message.target.push('a');
        assert_eq!(message.encode(), None, "too long");
        message.target = String::new();
        message.near.remote = Endpoint::Memory;
        assert_eq!(message.encode(), None, "no socket");
    }
}
