//! Short connections: connect, one echo, close, one after another.

use super::{ANSWER_TIMEOUT, Exchange, Limit, Load, Sample};
use crate::histogram::Histogram;
use crate::place::{Place, Stream};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Instant;

/// Opens and closes connections.
pub struct Close {
    address: SocketAddr,
    exchange: Exchange,
    buffer: Vec<u8>,
    /// Determines the source address of the next connection.
    opened: u8,
}

impl Close {
    /// For TCP only, as the load is about its ports.
    pub fn new(place: &Place, message: usize) -> io::Result<Close> {
        let Place::Tcp(address) = place else {
            return Err(io::Error::other("short connections are measured over TCP"));
        };
        Ok(Close {
            address: *address,
            exchange: Exchange::new(message),
            buffer: vec![0; message],
            opened: 0,
        })
    }

    /// Connects from one of 256 source addresses in turn. Each connection leaves its port in
    /// TIME_WAIT for a minute; these addresses have ports for seven million connections.
    fn connect(&mut self) -> io::Result<Stream> {
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

impl Load for Close {
    fn run(&mut self, limit: Limit) -> io::Result<Sample> {
        let mut latencies = Histogram::default();
        let mut operations = 0;
        let deadline = limit.deadline();
        let start = Instant::now();
        let mut begun = start;
        while operations < limit.operations && begun < deadline {
            let mut stream = self.connect()?;
            self.exchange.perform(&mut stream, &mut self.buffer)?;
            drop(stream);
            operations += 1;
            let now = Instant::now();
            latencies.record(now - begun);
            begun = now;
        }
        Ok(Sample {
            operations,
            elapsed: start.elapsed(),
            latencies,
        })
    }
}
