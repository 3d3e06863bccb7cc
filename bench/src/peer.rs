//! The options of every peer: `--port N [--buffer BYTES] [--threads N] [--runtime NAME]
//! [--nodelay] [--proxy]`, and those for the work that messages request: `[--work MICROSECONDS] [--block
//! MICROSECONDS]`. Peers with TLS also have `--cert FILE --key FILE`.

use crate::runtime::Runtime;
use lexopt::prelude::*;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

/// The options of a peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeerOptions {
    pub port: u16,
    /// The most bytes of one read.
    pub buffer: usize,
    /// The number of threads, for a peer with such an option.
    pub threads: usize,
    /// The runtime, for a peer with such an option.
    pub runtime: Runtime,
    /// If true, accepted sockets get TCP_NODELAY.
    pub nodelay: bool,
    /// If true, connections begin with a PROXY header of version 2.
    pub proxy: bool,
    /// The time to compute on a message that begins with [`COMPUTE`].
    pub work: Duration,
    /// The time to block the thread on a message that begins with [`BLOCK`].
    pub block: Duration,
}

impl PeerOptions {
    /// Parses the command line. Prints an error and exits if it is invalid.
    pub fn from_env() -> PeerOptions {
        PeerOptions::parse(std::env::args_os().skip(1)).unwrap_or_else(exit)
    }

    pub fn parse<I>(arguments: I) -> Result<PeerOptions, lexopt::Error>
    where
        I: IntoIterator<Item: Into<OsString>>,
    {
        let (mut port, mut buffer, mut threads, mut nodelay) = (None, 1024, 1, false);
        let (mut runtime, mut proxy) = (Runtime::Smol, false);
        let (mut work, mut block) = (0, 0);
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("port") => port = Some(parser.value()?.parse()?),
                Long("buffer") => buffer = parser.value()?.parse()?,
                Long("threads") => threads = parser.value()?.parse()?,
                Long("runtime") => runtime = parser.value()?.parse()?,
                Long("nodelay") => nodelay = true,
                Long("proxy") => proxy = true,
                Long("work") => work = parser.value()?.parse()?,
                Long("block") => block = parser.value()?.parse()?,
                _ => return Err(argument.unexpected()),
            }
        }
        if buffer == 0 || threads == 0 {
            return Err("--buffer and --threads must be at least 1".into());
        }
        Ok(PeerOptions {
            port: port.ok_or("--port is missing")?,
            buffer,
            threads,
            runtime,
            nodelay,
            proxy,
            work: Duration::from_micros(work),
            block: Duration::from_micros(block),
        })
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Does the work that the first byte of a message requests, on the calling thread.
    pub fn work_on(&self, message: &[u8]) {
        match message.first() {
            Some(&COMPUTE) => compute(self.work),
            Some(&BLOCK) => thread::sleep(self.block),
            _ => {}
        }
    }
}

/// The options of a peer with TLS.
#[derive(Debug, PartialEq)]
pub struct TlsPeerOptions {
    pub peer: PeerOptions,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl TlsPeerOptions {
    /// Parses the command line. Prints an error and exits if it is invalid.
    pub fn from_env() -> TlsPeerOptions {
        TlsPeerOptions::parse(std::env::args_os().skip(1)).unwrap_or_else(exit)
    }

    pub fn parse<I>(arguments: I) -> Result<TlsPeerOptions, lexopt::Error>
    where
        I: IntoIterator<Item: Into<OsString>>,
    {
        let (mut certificate, mut key, mut others) = (None, None, Vec::new());
        let mut arguments = arguments.into_iter().map(Into::into);
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--cert") => certificate = arguments.next().map(PathBuf::from),
                Some("--key") => key = arguments.next().map(PathBuf::from),
                _ => others.push(argument),
            }
        }
        Ok(TlsPeerOptions {
            peer: PeerOptions::parse(others)?,
            certificate: certificate.ok_or("--cert is missing")?,
            key: key.ok_or("--key is missing")?,
        })
    }
}

/// The options of a relay: `--port N --target N`, both ports of 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RelayOptions {
    port: u16,
    target: u16,
}

impl RelayOptions {
    /// Parses the command line. Prints an error and exits if it is invalid.
    pub fn from_env() -> RelayOptions {
        RelayOptions::parse(std::env::args_os().skip(1)).unwrap_or_else(exit)
    }

    pub fn parse<I>(arguments: I) -> Result<RelayOptions, lexopt::Error>
    where
        I: IntoIterator<Item: Into<OsString>>,
    {
        let (mut port, mut target) = (None, None);
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("port") => port = Some(parser.value()?.parse()?),
                Long("target") => target = Some(parser.value()?.parse()?),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(RelayOptions {
            port: port.ok_or("--port is missing")?,
            target: target.ok_or("--target is missing")?,
        })
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn target(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.target).into()
    }
}

fn exit<T>(error: lexopt::Error) -> T {
    eprintln!("{error}");
    process::exit(2)
}

/// Spins on the clock for this time.
fn compute(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {}
}

/// The first byte of a message on which the handler computes.
pub const COMPUTE: u8 = b'%';
/// The first byte of a message on which the handler blocks its thread.
pub const BLOCK: u8 = b'#';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_all_a_peer_needs() {
        let options = PeerOptions::parse(["--port", "7000"]).unwrap();
        let expected = PeerOptions {
            port: 7000,
            buffer: 1024,
            threads: 1,
            runtime: Runtime::Smol,
            nodelay: false,
            proxy: false,
            work: Duration::ZERO,
            block: Duration::ZERO,
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn the_first_byte_of_a_message_chooses_its_work() {
        let line = ["--port", "1", "--work", "2000", "--block", "3000"];
        let options = PeerOptions::parse(line).unwrap();
        for (first, at_least) in [(COMPUTE, 2), (BLOCK, 3)] {
            let start = Instant::now();
            options.work_on(&[first, b'a']);
            assert!(start.elapsed() >= Duration::from_millis(at_least));
        }
        options.work_on(b"");
    }

    #[test]
    fn a_peer_with_tls_needs_two_files() {
        let line = ["--cert", "a", "--port", "1", "--key", "b", "--nodelay"];
        let options = TlsPeerOptions::parse(line).unwrap();
        assert!(options.peer.nodelay);
        assert_eq!(options.certificate, PathBuf::from("a"));
        assert_eq!(options.key, PathBuf::from("b"));
        for end in [0, 2] {
            assert!(TlsPeerOptions::parse(&line[end..end + 4]).is_err());
        }
    }

    #[test]
    fn a_relay_needs_two_ports() {
        let options = RelayOptions::parse(["--port", "1", "--target", "2"]).unwrap();
        assert_eq!((options.address().port(), options.target().port()), (1, 2));
        assert!(RelayOptions::parse(["--port", "1"]).is_err());
        assert!(RelayOptions::parse(["--target", "1"]).is_err());
    }

    #[test]
    fn an_empty_buffer_is_refused() {
        assert!(PeerOptions::parse(["--port", "1", "--buffer", "0"]).is_err());
        assert!(PeerOptions::parse(["--buffer", "1"]).is_err());
    }
}
