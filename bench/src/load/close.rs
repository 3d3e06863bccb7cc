//! Short connections: connect, one echo, close, one after another.

use super::{ANSWER_TIMEOUT, Exchange, Limit, Load, Sample, until};
use crate::place::{Place, Stream};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

/// Opens and closes connections.
pub struct Close {
    sources: Sources,
    exchange: Exchange,
    buffer: Vec<u8>,
}

/// Opens connections from one of 256 source addresses in turn. Each connection leaves its port in
/// TIME_WAIT for a minute; these addresses have ports for seven million connections.
pub struct Sources {
    address: SocketAddr,
    /// Determines the source address of the next connection.
    opened: u8,
}

impl Close {
    pub fn new(place: &Place, exchange: Exchange) -> io::Result<Close> {
        Ok(Close {
            sources: Sources::new(place)?,
            buffer: vec![0; exchange.answer.len()],
            exchange,
        })
    }
}

impl Load for Close {
    fn run(&mut self, limit: Limit) -> io::Result<Sample> {
        until(limit, || {
            let mut stream = self.sources.connect()?;
            self.exchange.perform(&mut stream, &mut self.buffer)
        })
    }
}

impl Sources {
    /// For TCP only, as the load is about its ports.
    pub fn new(place: &Place) -> io::Result<Sources> {
        match place {
            Place::Tcp(address) => Ok(Sources {
                address: *address,
                opened: 0,
            }),
            Place::Unix(_) => Err(io::Error::other("short connections are measured over TCP")),
        }
    }

    pub fn connect(&mut self) -> io::Result<Stream> {
        self.opened = self.opened.wrapping_add(1);
        let source = SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, self.opened), 0);
        let socket = socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        bind(&socket, &source)?;
        connect(&socket, &self.address)?;
        let stream = Stream::new(socket);
        stream.set_read_timeout(ANSWER_TIMEOUT)?;
        Ok(stream)
    }
}
