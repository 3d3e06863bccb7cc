//! Connections in memory that say that they come from the network.

use std::io;
use std::net::SocketAddr;

use halves::listener::memory::{self, MemoryConnection};
use halves::{Connection, Endpoint, Listener, Peer};
use smol::channel::{self, Receiver, Sender};

use super::World;

type Arrival = Connection<memory::PipeReader, memory::PipeWriter>;

/// A listener of them.
pub(crate) struct Network(Receiver<Arrival>);

/// The other side of a [`Network`].
#[derive(Clone)]
pub(crate) struct Clients {
    queue: Sender<Arrival>,
    bound: usize,
}

/// A network whose pipes hold a kibibyte.
pub(crate) fn network() -> (Network, Clients) {
    network_of(1024)
}

/// A network whose pipes hold `bound` bytes.
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

    /// Comes by a proxy, which will say for whom.
    pub(crate) fn connect_by_proxy(&self, world: &World, from: &str) -> MemoryConnection {
        let peer = Peer::new(endpoint(from), Endpoint::Memory).anonymous();
        let client = self.arrive(peer).expect("the server accepts");
        world.settle();
        client
    }

    /// Knocks, and lets nobody run. None, when the listener is gone.
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
    /// Hangs up on those who wait; the queue would keep them while there are clients.
    fn drop(&mut self) {
        self.0.close();
        while self.0.try_recv().is_ok() {}
    }
}

pub(crate) fn endpoint(address: &str) -> Endpoint {
    Endpoint::from(address.parse::<SocketAddr>().expect(address))
}
