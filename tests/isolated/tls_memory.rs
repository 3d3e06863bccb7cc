//! The heap memory of idle TLS connections, without that of the same connections in clear text.

#![cfg(all(target_os = "linux", not(halves_portable), feature = "tls"))]

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory::{self, Connector, MemoryConnection};
use halves::service::echo;
use halves::tls::rustls::ClientConnection;
use halves::tls::rustls::client::Resumption;
use halves::tls::{ClientSettings, ServerSettings};
use halves::{Connection, Peer, Server};

use crate::allocations::Held;
use crate::support::harness::World;
use crate::support::pki::Authority;
use crate::support::tls_peer::TlsPeer;

const CONNECTIONS: usize = 100;
/// The memory of a session of rustls 0.23 and of the halves on it, in bytes.
const MAX_SESSION_BYTES: usize = 3600;
/// The same with the facts of the handshake and the counts of payload.
const MAX_LAYER_BYTES: usize = 3800;

/// The bytes of one idle connection of a server: all of them, and those that its end frees while
/// its peer is kept.
#[derive(Clone, Copy, Debug)]
struct Cost {
    all: usize,
    freed: usize,
}

type Peers = Rc<RefCell<Vec<Peer>>>;

/// Measures the connections that `open` makes.
fn cost(
    world: &World,
    peers: &Peers,
    connector: &Connector,
    open: impl AsyncFn(MemoryConnection) -> io::Result<MemoryConnection>,
) -> Cost {
    let mut clients = Vec::with_capacity(CONNECTIONS);
    let before = Held::now();
    for _ in 0..CONNECTIONS {
        let opened = async { open(connector.connect().await?).await };
        let client = future::block_on(world.ex.run(opened));
        clients.push(client.expect("it is served"));
    }
    // The deadline of the handshakes has a timer until it has passed.
    world.pass(Duration::from_mins(1));
    let all = Held::now();
    for client in &mut clients {
        future::block_on(client.writer.close()).expect("a pipe closes");
    }
    world.settle();
    let freed = all.since(Held::now());
    // The pipes and the peers were not among these.
    drop(clients);
    peers.borrow_mut().clear();
    Cost {
        all: all.since(before).bytes / CONNECTIONS,
        freed: freed.bytes / CONNECTIONS,
    }
}

/// Measures connections in clear text, which hold `bound` bytes.
fn clear(world: &World, bound: usize) -> Cost {
    let (listener, connector) = memory::listener(bound);
    let peers = Peers::default();
    let handler = {
        let peers = peers.clone();
        async move |c: MemoryConnection| {
            peers.borrow_mut().push(c.peer.clone());
            echo(c.reader, c.writer).await
        }
    };
    let _served = world.serve(Server::default(), listener, handler);
    let open = async |mut client: MemoryConnection| {
        client.writer.write_all(&vec![7; bound]).await?;
        client.reader.read_exact(&mut vec![0; bound]).await?;
        Ok(client)
    };
    // The first connections allocate what stays.
    cost(world, &peers, &connector, open);
    cost(world, &peers, &connector, open)
}

/// Measures the same over TLS, after an echo of `burst` bytes, and then `partial` bytes of a record.
fn tls(world: &World, bound: usize, burst: usize, partial: usize) -> Cost {
    let authority = Authority::new("test CA");
    let server = authority.server(&["localhost"]);
    let settings = ServerSettings::new().certificate_pem(&server.certificate, &server.key);
    let acceptor = settings.load().expect("good settings");
    let settings = ClientSettings::new().ca_pem(authority.pem());
    let mut config = (*settings.load().expect("good settings").config()).clone();
    config.resumption = Resumption::disabled();
    let config = Arc::new(config);
    let (listener, connector) = memory::listener(bound);
    let peers = Peers::default();
    let handler = {
        let peers = peers.clone();
        acceptor.wrap(async move |c: Connection<_, _>| {
            peers.borrow_mut().push(c.peer.clone());
            echo(c.reader, c.writer).await
        })
    };
    let _served = world.serve(Server::default(), listener, handler);
    let open = async |client: MemoryConnection| {
        let name = "localhost".try_into().expect("a name");
        let session = ClientConnection::new(config.clone(), name).expect("a config");
        let mut client = TlsPeer::new(session, client);
        client.shake_hands().await?;
        client.write_all(&vec![7; burst]).await?;
        client.read_exact(&mut vec![0; burst]).await?;
        let mut record = Vec::new();
        client.session.writer().write_all(&vec![7; partial])?;
        client.session.write_tls(&mut record)?;
        let mut client = client.beneath;
        client.writer.write_all(&record[..partial]).await?;
        Ok(client)
    };
    cost(world, &peers, &connector, open);
    cost(world, &peers, &connector, open)
}

pub(crate) fn an_idle_tls_connection_costs_little_more_than_its_session() {
    let world = World::new();
    // The buffers of the pipes are as large in clear text as over TLS.
    let (clear, tls) = (self::clear(&world, 64), self::tls(&world, 64, 10, 0));
    let (session, layer) = (tls.freed - clear.freed, tls.all - clear.all);
    assert!(session <= MAX_SESSION_BYTES, "{session} bytes a session");
    assert!(layer <= MAX_LAYER_BYTES, "{layer} bytes a layer");
    // The end does not free the pipes.
    let after_burst = self::tls(&world, 1 << 20, 65_536, 0);
    assert_eq!(after_burst.freed, tls.freed);
    let partial = self::tls(&world, 1 << 20, 65_536, 1000).freed - tls.freed;
    assert!(partial <= 1100, "{partial} bytes for 1000 of a record");
}
