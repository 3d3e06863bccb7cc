//! Listeners of several types as one, and the index of the listener of a connection.

use std::io;

use futures_lite::future::poll_once;
use halves::listener::memory::{self, Connector};
use halves::listener::merge;
use halves::{Connection, Endpoint, Listener, Listeners, Once, Peer};
use smol::block_on;

/// A listener type that is not of this crate.
struct Foreign(memory::MemoryListener);

impl Listener for Foreign {
    type Reader = memory::PipeReader;
    type Writer = memory::PipeWriter;

    async fn accept(&mut self) -> io::Result<Option<memory::MemoryConnection>> {
        self.0.accept().await
    }

    fn stop(&mut self) {
        self.0.stop();
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        self.0.local_addrs()
    }
}

/// A listener that reports no address.
struct Nameless<L>(L);

impl<L: Listener> Listener for Nameless<L> {
    type Reader = L::Reader;
    type Writer = L::Writer;

    async fn accept(&mut self) -> io::Result<Option<Connection<L::Reader, L::Writer>>> {
        self.0.accept().await
    }
}

fn connect(connector: &Connector) -> memory::MemoryConnection {
    block_on(connector.connect()).expect("the listener exists")
}

/// Returns the index of the listener of the next connection, or None if none waits.
fn next(listener: &mut impl Listener) -> Option<usize> {
    let accepted = block_on(poll_once(listener.accept()))?;
    let connection = accepted.expect("no error").expect("not ended");
    Some(connection.peer.listener())
}

#[test]
fn the_index_is_that_of_the_list_also_after_a_listener_has_ended() {
    let once = || Once::new(Connection::new(&b""[..], vec![]));
    let (first, to_first) = memory::listener(64);
    let (last, to_last) = memory::listener(64);
    let mut listeners = Listeners::from(first)
        .and(once())
        .and(Listeners::from(once()).and(last));
    let _clients = [connect(&to_last), connect(&to_first), connect(&to_last)];
    let mut seen: Vec<_> = std::iter::from_fn(|| next(&mut listeners)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 3]);
    let _client = connect(&to_last);
    assert_eq!(next(&mut listeners), Some(3));
}

#[test]
fn an_index_beyond_a_byte_is_255() {
    let mut listeners = Listeners::default();
    for _ in 0..258 {
        listeners = listeners.and(Once::new(Connection::new(&b""[..], vec![])));
    }
    let seen: Vec<_> = (0..258).map(|_| next(&mut listeners)).collect();
    let expected: Vec<_> = (0..258).map(|n| Some(n.min(255))).collect();
    assert_eq!(seen, expected);
}

#[test]
fn another_peer_keeps_the_index() {
    let (idle, _connector) = memory::listener(64);
    let once = Once::new(Connection::new(&b""[..], vec![]));
    let mut listeners = Listeners::from(idle).and(once);
    let connection = block_on(listeners.accept())
        .expect("no error")
        .expect("one");
    let renamed = connection.with_peer(Peer::new(Endpoint::Memory, Endpoint::Memory));
    assert_eq!(renamed.peer.listener(), 1);
}

#[test]
fn an_index_is_given_once_also_after_a_listener_has_ended() {
    let once = || Once::new(Connection::new(&b""[..], vec![]));
    let (last, to_last) = memory::listener(64);
    let mut listeners = Listeners::from(once()).and(last);
    assert_eq!(next(&mut listeners), Some(0));
    assert_eq!(next(&mut listeners), None);
    let mut listeners = listeners.and(once());
    assert_eq!(next(&mut listeners), Some(2));
    let _client = connect(&to_last);
    assert_eq!(next(&mut listeners), Some(1));
}

#[test]
fn merged_listeners_take_turns_and_end_when_both_have_ended() {
    let (first, to_first) = memory::listener(64);
    let (second, to_second) = memory::listener(64);
    let mut both = merge(Listeners::from(first), Foreign(second));
    assert_eq!(both.local_addrs(), [Endpoint::Memory, Endpoint::Memory]);
    assert_eq!(next(&mut both), None);
    let clients: Vec<_> = (0..3)
        .flat_map(|_| [&to_first, &to_second])
        .map(connect)
        .collect();
    let seen: Vec<_> = std::iter::from_fn(|| next(&mut both)).collect();
    assert_eq!(seen, [0, 1, 0, 1, 0, 1]);
    drop((clients, to_first));
    let _late = connect(&to_second);
    assert_eq!(next(&mut both), Some(1));
    both.stop();
    drop(to_second);
    assert!(block_on(both.accept()).expect("no error").is_none());
}

#[test]
fn a_listener_without_an_address_has_an_index_of_its_own() {
    let once = || Once::new(Connection::new(&b""[..], vec![]));
    let mut three = merge(once(), merge(Nameless(once()), once()));
    let seen: Vec<_> = (0..3).map(|_| next(&mut three)).collect();
    assert_eq!(seen, [Some(0), Some(1), Some(2)]);
}

#[test]
fn a_merged_listener_is_send_if_its_parts_are() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let (first, connector) = memory::listener(64);
    let mut both = merge(first, Once::new(Connection::new(&b""[..], vec![])));
    drop(is_send(both.accept()));
    drop((is_send(both), connector));
}
