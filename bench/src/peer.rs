//! The options every peer takes: `--port N [--buffer BYTES] [--threads N] [--runtime NAME] [--nodelay]`.

use crate::runtime::Runtime;
use lexopt::prelude::*;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::process;

/// How a peer is asked to serve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeerOptions {
    pub port: u16,
    /// Bytes one read may take.
    pub buffer: usize,
    /// Threads to serve with, where the peer has a choice.
    pub threads: usize,
    /// What it runs on, where the peer has a choice.
    pub runtime: Runtime,
    /// Whether accepted sockets get TCP_NODELAY.
    pub nodelay: bool,
}

impl PeerOptions {
    /// Parses the command line; prints what is wrong with it and exits when something is.
    pub fn from_env() -> PeerOptions {
        PeerOptions::parse(std::env::args_os().skip(1)).unwrap_or_else(|error| {
            eprintln!("{error}");
            process::exit(2)
        })
    }

    pub fn parse<I>(arguments: I) -> Result<PeerOptions, lexopt::Error>
    where
        I: IntoIterator<Item: Into<OsString>>,
    {
        let (mut port, mut buffer, mut threads, mut nodelay) = (None, 1024, 1, false);
        let mut runtime = Runtime::Smol;
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("port") => port = Some(parser.value()?.parse()?),
                Long("buffer") => buffer = parser.value()?.parse()?,
                Long("threads") => threads = parser.value()?.parse()?,
                Long("runtime") => runtime = parser.value()?.parse()?,
                Long("nodelay") => nodelay = true,
                _ => return Err(argument.unexpected()),
            }
        }
        if buffer == 0 || threads == 0 {
            return Err("--buffer and --threads start at 1".into());
        }
        Ok(PeerOptions {
            port: port.ok_or("--port is missing")?,
            buffer,
            threads,
            runtime,
            nodelay,
        })
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

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
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn an_empty_buffer_is_refused() {
        assert!(PeerOptions::parse(["--port", "1", "--buffer", "0"]).is_err());
        assert!(PeerOptions::parse(["--buffer", "1"]).is_err());
    }
}
