//! Deadlines are checked by the task of their connection, once one may have passed.

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::io::empty;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::connection::{Link, Phase};
use halves::listener::memory::MemoryConnection;
use halves::{Connection, Once, Peer, Reason, Server, Timeouts};

use crate::support::harness::network::echoes;
use crate::support::harness::{Served, World};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const MOMENT: Duration = Duration::from_nanos(1);

#[test]
fn no_task_is_woken_before_a_deadline_may_have_passed() {
    let world = World::new();
    let timeouts = Timeouts::default().idle(HOUR).lifetime(HOUR * 2);
    let (served, connector) = world.serve_memory(Server::default().timeouts(timeouts), echoes);
    let mut clients: Vec<_> = (0..1000).map(|_| world.connect(&connector)).collect();
    world.pass(HOUR / 2);
    // An active connection is no exception.
    let mut active = clients.pop().expect("a thousand");
    let active = world.now(async move {
        active.writer.write_all(b"x").await.expect("it is read");
        active.reader.read_exact(&mut [0]).await.expect("echoed");
        active
    });
    world.manual.advance(HOUR / 2 - MOMENT);
    assert!(!world.ex.try_tick(), "a task was woken");
    world.manual.advance(MOMENT);
    world.settle();
    drop(clients);
    world.settle();
    assert_eq!(served.handle.stats().open, 1);
    assert_eq!(served.handle.stats().ended[Reason::Idle], 999);
    world.manual.advance(HOUR / 2 - MOMENT);
    assert!(!world.ex.try_tick(), "a task was woken");
    drop(active);
}

#[test]
fn a_handshake_that_begins_anywhere_has_its_deadline_from_its_begin() {
    let world = World::new();
    let peers: Rc<RefCell<Vec<Peer>>> = Rc::default();
    let keep = peers.clone();
    let handler = async move |c: MemoryConnection| {
        keep.borrow_mut().push(c.peer.clone());
        let _connection = c;
        pending().await
    };
    let (served, connector) = world.serve_memory(Server::default(), handler);
    let phases = || {
        let mut connections = served.handle.connections();
        connections.sort_by_key(|connection| connection.id);
        let phases = connections.iter().map(|connection| connection.phase);
        <[Phase; 3]>::try_from(phases.collect::<Vec<_>>()).expect("three")
    };
    let _clients: Vec<_> = (0..3).map(|_| world.connect(&connector)).collect();
    world.pass(SECOND * 5);
    assert!(!world.manual.advance_to_next(), "no deadline is set");
    // Outside the task of the connection.
    let peers = peers.take();
    let _first = peers[0].handshake();
    let second = peers[1].handshake();
    world.pass(SECOND * 10 - MOMENT);
    drop(second);
    assert_eq!(phases(), [Phase::Handshake, Phase::Open, Phase::Open]);
    world.pass(MOMENT);
    assert_eq!(phases(), [Phase::Closing, Phase::Open, Phase::Open]);
    world.pass(SECOND * 2);
    assert_eq!(served.handle.stats().ended[Reason::Handshake], 1);
    assert!(!world.manual.advance_to_next(), "no deadline is set");
}

#[test]
fn without_a_handshake_deadline_nothing_sleeps() {
    let world = World::new();
    let handler = async |c: MemoryConnection| {
        let _handshake = c.peer.handshake();
        pending().await
    };
    let timeouts = Timeouts::default().handshake(Duration::ZERO);
    let (_served, connector) = world.serve_memory(Server::default().timeouts(timeouts), handler);
    let _client = world.connect(&connector);
    world.settle();
    assert!(!world.manual.advance_to_next());
}

/// A stream that is never flushed, and that can panic when its state is read.
#[derive(Default)]
struct Stuck {
    shy: AtomicBool,
    aborted: AtomicBool,
}

impl Link for Stuck {
    fn poll_linger(&self, _: &mut Context<'_>, _: bool) -> Poll<io::Result<()>> {
        if self.aborted.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    fn is_flushed(&self) -> bool {
        assert!(!self.shy.load(Ordering::Relaxed), "asked");
        false
    }

    fn abort(&self) {
        self.aborted.store(true, Ordering::Relaxed);
    }
}

/// Serves the stream with a handler that returns at once, and an idle timeout of a second.
fn serve_stuck(world: &World, link: &Arc<Stuck>) -> Served {
    let peer = Peer::default().with_link(link.clone());
    let connection = Connection::from_parts(empty(), Vec::new(), peer);
    let server = Server::default().timeouts(Timeouts::default().idle(SECOND));
    world.serve(server, Once::new(connection), async |_| Ok(()))
}

#[test]
fn unflushed_bytes_are_reset_at_the_deadline() {
    let world = World::new();
    let link = Arc::new(Stuck::default());
    let served = serve_stuck(&world, &link);
    world.pass(SECOND - MOMENT);
    assert!(!link.aborted.load(Ordering::Relaxed));
    world.pass(MOMENT);
    assert!(link.aborted.load(Ordering::Relaxed));
    assert_eq!(served.handle.stats().ended[Reason::Idle], 1);
}

#[test]
fn a_link_that_panics_when_its_deadline_is_looked_at_is_reset() {
    let world = World::new();
    let link = Arc::new(Stuck::default());
    let served = serve_stuck(&world, &link);
    assert!(served.events().is_empty());
    link.shy.store(true, Ordering::Relaxed);
    world.pass(SECOND);
    assert!(link.aborted.load(Ordering::Relaxed));
    assert_eq!(served.handle.stats().ended[Reason::Panic], 1);
}
