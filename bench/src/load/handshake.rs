//! Short connections with TLS: connect, handshake, one echo, close, one after another.

use super::close::Sources;
use super::{Exchange, Limit, Load, Sample, until};
use crate::place::{Place, Transport};
use crate::tls::Client;
use rustix::net::sockopt::set_tcp_nodelay;
use std::io::{self, Read};

/// Opens and closes TLS connections.
pub struct Handshake<'a> {
    sources: Sources,
    client: &'a Client,
    /// If true, each connection but the first resumes the session of an earlier one.
    resumes: bool,
    exchange: Exchange,
    buffer: Vec<u8>,
}

impl Handshake<'_> {
    pub fn new<'a>(
        place: &Place,
        client: &'a Client,
        resumes: bool,
        message: usize,
    ) -> io::Result<Handshake<'a>> {
        let mut handshake = Handshake {
            sources: Sources::new(place)?,
            client,
            resumes,
            exchange: Exchange::new(message),
            buffer: vec![0; message],
        };
        if resumes {
            handshake.perform()?;
        }
        Ok(handshake)
    }

    /// Performs one connection, up to the server's end. Returns true if it resumed a session.
    fn perform(&mut self) -> io::Result<bool> {
        let socket = self.sources.connect()?;
        set_tcp_nodelay(&socket, true)?;
        let mut stream = match self.resumes {
            true => self.client.resume(socket)?,
            false => self.client.connect(socket)?,
        };
        self.exchange.perform(&mut stream, &mut self.buffer)?;
        stream.finish()?;
        match stream.read(&mut self.buffer)? {
            0 => Ok(stream.is_resumed()),
            _ => Err(io::Error::other("the server sent more than its answer")),
        }
    }
}

impl Load for Handshake<'_> {
    fn run(&mut self, limit: Limit) -> io::Result<Sample> {
        until(limit, || match self.perform()? == self.resumes {
            true => Ok(()),
            false => Err(io::Error::other(
                "the handshake is not of the kind of this row",
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::MESSAGE_BYTES;
    use crate::tls::testing::Server;

    #[test]
    fn every_connection_of_a_full_load_is_a_full_handshake() {
        let server = Server::start();
        let client = server.client();
        let mut load = Handshake::new(&server.place, &client, false, MESSAGE_BYTES).unwrap();
        let sample = load.run(Limit::operations(3)).unwrap();
        assert_eq!((sample.operations, sample.latencies.count()), (3, 3));
        load.resumes = true;
        assert!(load.run(Limit::operations(1)).is_err());
    }

    #[test]
    fn every_connection_of_a_resuming_load_is_resumed() {
        let server = Server::start();
        let client = server.client();
        let mut load = Handshake::new(&server.place, &client, true, MESSAGE_BYTES).unwrap();
        assert_eq!(load.run(Limit::operations(3)).unwrap().operations, 3);
    }
}
