//! Short connections: connect, one echo, close, one after another.

use super::{Exchange, Limit, Load, Sample};
use crate::histogram::Histogram;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Instant;

/// Opens and closes.
pub struct Close {
    address: SocketAddr,
    exchange: Exchange,
    buffer: Vec<u8>,
    /// Chooses the next connection's own address.
    opened: u8,
}

impl Close {
    pub fn new(address: SocketAddr, message: usize) -> Close {
        Close {
            address,
            exchange: Exchange::new(message),
            buffer: vec![0; message],
            opened: 0,
        }
    }

    /// Each connection leaves its port in TIME_WAIT for a minute. 256 source addresses in turn have ports
    /// for seven million of them.
    fn connect(&mut self) -> io::Result<TcpStream> {
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
        Ok(socket.into())
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
