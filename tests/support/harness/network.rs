//! Connections in memory with peers that look like clients of a network.

use std::io;
use std::net::SocketAddr;

use futures_lite::AsyncReadExt;
use halves::listener::memory::{self, MemoryConnection};
use halves::service::echo;
use halves::{Connection, Endpoint, Listener, Peer};
use smol::channel::{self, Receiver, Sender};

use super::World;

type Arrival = Connection<memory::PipeReader, memory::PipeWriter>;

/// A listener of such connections.
pub(crate) struct Network(Receiver<Arrival>);

/// The clients' side of a [`Network`].
#[derive(Clone)]
pub(crate) struct Clients {
    queue: Sender<Arrival>,
    bound: usize,
}

/// A network with pipes of one kibibyte.
pub(crate) fn network() -> (Network, Clients) {
    network_of(1024)
}

/// A network with pipes of `bound` bytes.
pub(crate) fn network_of(bound: usize) -> (Network, Clients) {
    let (queue, receive) = channel::unbounded();
    (Network(receive), Clients { queue, bound })
}

impl Clients {
    pub(crate) fn connect(&self, world: &World, from: &str) -> MemoryConnection {
        let client = self.try_connect(from).expect("the server accepts");
        world.settle();
        client
    }

    /// Connects through a proxy, which names the real client later.
    pub(crate) fn connect_by_proxy(&self, world: &World, from: &str) -> MemoryConnection {
        let peer = Peer::new(endpoint(from), Endpoint::Memory).anonymous();
        let client = self.arrive(peer).expect("the server accepts");
        world.settle();
        client
    }

    /// Connects without running any task. Returns None if the listener is gone.
    pub(crate) fn try_connect(&self, from: &str) -> Option<MemoryConnection> {
        self.arrive(Peer::new(endpoint(from), Endpoint::Memory))
    }

    fn arrive(&self, peer: Peer) -> Option<MemoryConnection> {
        let (near, far) = memory::pair(self.bound);
        self.queue.try_send(far.with_peer(peer)).ok()?;
        Some(near)
    }
}

impl Listener for Network {
    type Reader = memory::PipeReader;
    type Writer = memory::PipeWriter;

    async fn accept(&mut self) -> io::Result<Option<Arrival>> {
        Ok(self.0.recv().await.ok())
    }
}

impl Drop for Network {
    /// Resets the connections in the queue, which the clients would keep alive.
    fn drop(&mut self) {
        self.0.close();
        while self.0.try_recv().is_ok() {}
    }
}

pub(crate) fn endpoint(address: &str) -> Endpoint {
    Endpoint::from(address.parse::<SocketAddr>().expect(address))
}

pub(crate) async fn echoes(connection: MemoryConnection) -> io::Result<()> {
    echo(connection.reader, connection.writer).await
}

/// An echo that reads the real address of its client from the first line, as a PROXY header has it.
pub(crate) async fn identified(mut connection: MemoryConnection) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        connection.reader.read_exact(&mut byte).await?;
        match byte {
            [b'\n'] => break,
            [byte] => line.push(byte),
        }
    }
    let line = String::from_utf8(line).map_err(io::Error::other)?;
    let real: SocketAddr = line.parse().map_err(io::Error::other)?;
    connection.identify(real)?;
    echoes(connection).await
}
