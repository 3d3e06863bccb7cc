//! A failure of one handler does not affect others, and each connection ends with one reason.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::memory::MemoryConnection;
use halves::service::echo;
use halves::{Reason, Server};

use crate::support::harness::World;

/// A handler that panics in the function that the test names.
#[derive(Debug)]
struct Panics {
    where_: &'static str,
    armed: Rc<Cell<bool>>,
}

impl Clone for Panics {
    fn clone(&self) -> Self {
        assert!(!(self.armed.get() && self.where_ == "clone"), "in clone");
        Self {
            where_: self.where_,
            armed: self.armed.clone(),
        }
    }
}

impl Panics {
    fn is(&self, place: &str) -> bool {
        self.armed.get() && self.where_ == place
    }
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

#[test]
fn a_panic_of_a_handler_resets_its_connection_and_nothing_else() {
    for place in ["clone", "call", "poll", "drop", "payload"] {
        let world = World::new();
        let armed = Rc::new(Cell::new(false));
        let panics = Panics {
            where_: place,
            armed: armed.clone(),
        };
        let handler = move |connection: MemoryConnection| {
            assert!(!panics.is("call"), "in call");
            async move {
                let _bomb = panics.is("drop").then(|| PanicsInDrop);
                if panics.is("payload") {
                    std::panic::panic_any(PanicsInDrop);
                }
                let mut connection = connection;
                connection.writer.write_all(b"x").await?;
                assert!(!panics.is("poll"), "in poll");
                connection.reader.read(&mut [0]).await?;
                Ok(())
            }
        };
        let (served, connector) = world.serve_memory(Server::default(), handler);
        let calm = world.connect(&connector);
        world.settle();

        armed.set(true);
        let mut victim = world.connect(&connector);
        // The handler that panics in its drop returns.
        let received = world.now(async move {
            let _ = victim.writer.write_all(b"go").await;
            victim.reader.read_to_end(&mut Vec::new()).await
        });
        let received = received.expect_err("a cut answer must not look whole");
        assert_eq!(received.kind(), io::ErrorKind::ConnectionReset, "{place}");
        let events = served.events();
        assert_eq!(events.len(), 1, "{events:?}");
        let expected = match place {
            "payload" => "closed 2 panic: a panic without a message".to_string(),
            place => format!("closed 2 panic: in {place}"),
        };
        assert_eq!(events[0], expected);

        armed.set(false);
        drop(calm);
        drop(world.connect(&connector));
        world.settle();
        let stats = served.handle.stats();
        assert_eq!(
            (stats.accepted, stats.open, stats.ended.total()),
            (3, 0, 3),
            "{place}"
        );
        assert_eq!(stats.ended[Reason::Panic], 1);
    }
}

#[test]
fn every_connection_ends_with_exactly_one_reason() {
    let world = World::new();
    let handler = async |mut connection: MemoryConnection| {
        let mut word = [0; 6];
        let n = connection.reader.read(&mut word).await?;
        match &word[..n] {
            b"leave" => Ok(()),
            b"error" => Err(io::Error::other("no good")),
            b"panic" => panic!("no good"),
            _ => echo(connection.reader, connection.writer).await,
        }
    };
    let (served, connector) = world.serve_memory(Server::default(), handler);
    for word in ["leave", "error", "panic", "", "hello"] {
        let mut client = world.connect(&connector);
        world.now(async move {
            let _ = client.writer.write_all(word.as_bytes()).await;
        });
    }
    world.settle();
    let ended = served.handle.stats().ended;
    assert_eq!(ended[Reason::Handler], 1);
    assert_eq!(ended[Reason::Error], 1);
    assert_eq!(ended[Reason::Panic], 1);
    assert_eq!(ended[Reason::Eof], 2);
    assert_eq!(ended.total(), 5);
    assert_eq!(served.handle.stats().bytes_in, 20);
}
