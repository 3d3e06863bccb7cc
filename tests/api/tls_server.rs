//! A server of TLS connections: how they end, and that they leave nothing behind.

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory::{Connector as Clients, MemoryConnection, PipeReader, PipeWriter};
use halves::tls::{Acceptor, ClientSettings, Connector, ServerSettings, TlsConnection};
use halves::{Server, Timeouts};

use crate::support::harness::World;
use crate::support::pki::Authority;

type Secure = TlsConnection<PipeReader, PipeWriter>;

const SECOND: Duration = Duration::from_secs(1);

fn ends() -> (Acceptor, Connector) {
    let authority = Authority::new("test CA");
    let leaf = authority.server(&["localhost"]);
    let acceptor = ServerSettings::new().certificate_pem(&leaf.certificate, &leaf.key);
    let connector = ClientSettings::new().ca_pem(authority.pem());
    (
        acceptor.load().expect("good settings"),
        connector.load().expect("good settings"),
    )
}

/// A client after its handshake.
fn shake_hands(world: &World, clients: &Clients, connector: &Connector) -> Secure {
    let (client, connector) = (world.connect(clients), connector.clone());
    let shaken = world.now(async move { connector.handshake(client, "localhost").await });
    shaken.expect("no error")
}

/// The end of one connection: what a handler does with its connection, and its client meanwhile.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    Garbage,
    EndInHandshake,
    SilentInHandshake,
    KilledInHandshake,
    Returns,
    Truncated,
    KilledInWrite,
    Panics,
    HalvesKept,
    Nested,
    Erased,
    ServerDropped,
}

const LIVES: [Life; 12] = [
    Life::Garbage,
    Life::EndInHandshake,
    Life::SilentInHandshake,
    Life::KilledInHandshake,
    Life::Returns,
    Life::Truncated,
    Life::KilledInWrite,
    Life::Panics,
    Life::HalvesKept,
    Life::Nested,
    Life::Erased,
    Life::ServerDropped,
];

type Kept = Rc<RefCell<Vec<Box<dyn std::any::Any>>>>;

async fn live(life: Life, c: MemoryConnection, tls: Acceptor, kept: Kept) -> io::Result<()> {
    let mut c = tls.accept(c).await?;
    match life {
        Life::KilledInWrite => c.writer.write_all(&vec![0; 1_000_000]).await,
        Life::Panics => panic!("on purpose"),
        Life::HalvesKept => {
            kept.borrow_mut().push(Box::new((c.reader, c.writer)));
            Ok(())
        }
        Life::Nested => {
            let mut c = tls.accept(c).await?;
            c.reader.read_to_end(&mut Vec::new()).await.map(drop)
        }
        Life::Erased => {
            let mut c = c.erase();
            c.reader.read_to_end(&mut Vec::new()).await.map(drop)
        }
        Life::ServerDropped => pending().await,
        _ => c.reader.read_to_end(&mut Vec::new()).await.map(drop),
    }
}

#[test]
fn no_end_leaves_a_record_behind() {
    for life in LIVES {
        let world = World::new();
        let (acceptor, connector) = ends();
        let (token, kept) = (Arc::new(()), Kept::default());
        let timeouts = Timeouts::default().handshake(SECOND);
        let (handed, keeping) = (Arc::downgrade(&token), kept.clone());
        let handler = async move |c: MemoryConnection| {
            c.peer.set_extension(handed.upgrade().expect("it is there"));
            live(life, c, acceptor.clone(), keeping.clone()).await
        };
        let (served, clients) = world.serve_memory(Server::default().timeouts(timeouts), handler);
        let mut client = None;
        let mut secure = None;
        match life {
            Life::Garbage => {
                let mut c = world.connect(&clients);
                future::block_on(c.writer.write_all(b"GET / HTTP/1.1\r\n\r\n")).expect("it fits");
                client = Some(c);
            }
            Life::EndInHandshake => drop(world.connect(&clients)),
            Life::SilentInHandshake | Life::KilledInHandshake => {
                client = Some(world.connect(&clients));
            }
            _ => secure = Some(shake_hands(&world, &clients, &connector)),
        }
        world.settle();
        match life {
            Life::SilentInHandshake => world.pass(2 * SECOND),
            Life::KilledInHandshake | Life::KilledInWrite => {
                assert!(Arc::strong_count(&token) > 1);
                assert!(served.handle.kill(1));
            }
            Life::Nested => {
                let (outer, connector) = (secure.take().expect("connected"), connector.clone());
                let inner = world.now(async move { connector.handshake(outer, "localhost").await });
                let mut inner = inner.expect("no error");
                world
                    .now(async move { inner.writer.close().await })
                    .expect("no error");
            }
            Life::Returns | Life::Erased => {
                let mut c = secure.take().expect("connected");
                world
                    .now(async move { c.writer.close().await })
                    .expect("no error");
            }
            Life::ServerDropped => drop(served.serving),
            _ => {}
        }
        drop((client, secure));
        world.settle();
        kept.borrow_mut().clear();
        world.pass(10 * SECOND);
        assert_eq!(Arc::strong_count(&token), 1, "{life:?}");
    }
}

/// The reader sends the rest of an accepted write, while the next write waits in another task.
#[test]
fn an_answer_that_is_cut_while_the_reader_sends_is_reset() {
    const ANSWER_BYTES: usize = 300_000;
    let world = World::new();
    let (acceptor, connector) = ends();
    let taken = Rc::new(RefCell::new(None));
    let taking = taken.clone();
    let handler = async move |c: MemoryConnection| {
        let mut c = acceptor.accept(c).await?;
        taking.replace(Some(c.reader));
        c.writer.write_all(&vec![7; ANSWER_BYTES]).await
    };
    let (served, clients) = world.serve_memory(Server::default(), handler);
    let mut client = shake_hands(&world, &clients, &connector);
    let mut received = vec![0; ANSWER_BYTES];
    let read = future::block_on(future::poll_once(client.reader.read(&mut received)));
    let n = read.expect("the pipe is full").expect("no error");
    // The reader runs before the writer, which is woken, too.
    let mut reader = taken.take().expect("taken");
    let read = future::block_on(future::poll_once(reader.read(&mut [0])));
    assert!(read.is_none());
    served.handle.close_clients();
    let rest = world.now(async move { client.reader.read_to_end(&mut Vec::new()).await });
    assert!(n < ANSWER_BYTES);
    assert!(rest.is_err(), "a cut answer must not look complete");
}
