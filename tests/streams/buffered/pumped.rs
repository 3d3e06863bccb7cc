//! The task of a connection sends bytes that its handler does not wait for.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_lite::future::{self, poll_once};
use futures_lite::io::{Empty, Sink, empty, sink};
use futures_lite::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use halves::connection::Buffered;
use halves::listener::memory::{MemoryConnection, pair};
use halves::{Connection, Once, Reason, Server};
use smol::channel::{self, Receiver};

use crate::support::harness::World;
use crate::support::harness::network::network_of;

/// The input until its end or a wait.
fn take(world: &World, mut client: MemoryConnection) -> (MemoryConnection, Vec<u8>) {
    let take = async move {
        let mut received = Vec::new();
        while let Some(chunk) = poll_once(client.reader.read_chunk()).await {
            let chunk = chunk.expect("no reset");
            received.extend_from_slice(&chunk);
            if chunk.is_empty() {
                break;
            }
            future::yield_now().await;
        }
        (client, received)
    };
    world.now(take)
}

fn letters(count: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(count).collect()
}

#[test]
fn written_bytes_are_sent_while_the_handler_waits_for_something_else() {
    let world = World::new();
    let (network, clients) = network_of(4);
    let (go, gone) = channel::bounded::<()>(1);
    let handler = async move |mut c: MemoryConnection| {
        let mut writer = c.writer.buffered();
        writer.write(&letters(100))?;
        // It waits for the client first, and then for something else; it has not drained.
        c.reader.read_exact(&mut [0]).await?;
        writer.write(b"bye")?;
        let _ = gone.recv().await;
        assert_eq!(writer.waiting(), 0);
        writer.close().await
    };
    let served = world.serve(Server::default(), network, handler);
    let client = clients.connect(&world, "192.0.2.1:5");
    let mut all = Vec::new();
    let (mut client, received) = take(&world, client);
    all.extend(received);
    for _ in 0..100 {
        let (again, received) = take(&world, client);
        (client, all) = (again, [all, received].concat());
    }
    assert_eq!(all, letters(100));
    let say = async move {
        client.writer.write_all(b"!").await.expect("it reads");
        client
    };
    let (client, received) = take(&world, world.now(say));
    assert_eq!(received, b"bye");
    go.try_send(()).expect("it waits");
    world.settle();
    drop(client);
    world.pass(Duration::from_secs(3));
    let stats = served.handle.stats();
    assert_eq!((stats.ended[Reason::Handler], stats.bytes_unsent), (1, 0));
}

#[test]
fn a_drain_waits_from_above_the_high_mark_to_the_low_one() {
    let world = World::new();
    let (network, clients) = network_of(1);
    let (sender, receiver) = channel::unbounded();
    let handler = async move |c: MemoryConnection| {
        let mut writer = c.writer.buffered().water_marks(2, 8);
        for count in [8, 2, 1] {
            writer.write(&letters(count))?;
            writer.ready().await?;
            let _ = sender.send(writer.waiting()).await;
        }
        writer.close().await
    };
    let served = world.serve(Server::default(), network, handler);
    let mut client = clients.connect(&world, "192.0.2.1:5");
    let mut left = Vec::new();
    let mut read = 0;
    while read < 11 {
        while let Ok(waiting) = receiver.try_recv() {
            left.push((read, waiting));
        }
        let one = async move {
            client.reader.read_exact(&mut [0]).await.expect("more");
            client
        };
        client = world.now(one);
        read += 1;
    }
    // The first piece fits; nine bytes wait after the second, until seven more are sent; the third
    // fits.
    assert_eq!(left, [(0, 7), (7, 2), (7, 3)]);
    drop(client);
    world.pass(Duration::from_secs(3));
    assert_eq!(served.handle.stats().bytes_unsent, 0);
}

/// Another task has the writer. It drains now and then, and drops drains that wait.
#[test]
fn a_writer_in_another_task_is_sent_too() {
    let world = World::new();
    let (network, clients) = network_of(3);
    let tasks = world.ex.clone();
    let (go, turns) = channel::unbounded();
    let handler = async move |mut c: MemoryConnection| {
        let (sender, receiver) = channel::bounded(1);
        let turns = turns.clone();
        let task = async move {
            // By now the task of the connection waits, and has not noticed.
            let _ = turns.recv().await;
            let writer = c.writer.buffered().water_marks(64, 64);
            let result = in_the_background(writer, turns).await;
            let _ = sender.send(result).await;
        };
        tasks.spawn(task).detach();
        c.reader.read_to_end(&mut Vec::new()).await?;
        receiver.recv().await.unwrap_or(Ok(()))
    };
    let served = world.serve(Server::default(), network, handler);
    let mut client = clients.connect(&world, "192.0.2.1:5");
    let mut all = Vec::new();
    for _ in 0..300 {
        let (again, received) = take(&world, client);
        (client, all) = (again, [all, received].concat());
        go.try_send(()).expect("there is room");
        world.settle();
    }
    assert_eq!(all, letters(26).repeat(10));
    drop(client);
    world.pass(Duration::from_secs(3));
    let stats = served.handle.stats();
    assert_eq!((stats.ended[Reason::Eof], stats.bytes_unsent), (1, 0));
}

/// It never drains, and the task of the connection waits for something else.
#[test]
fn bytes_written_by_another_task_are_sent_without_a_drain() {
    let world = World::new();
    let (network, clients) = network_of(64);
    let tasks = world.ex.clone();
    let (go, turns) = channel::unbounded::<&[u8]>();
    let handler = async move |mut c: MemoryConnection| {
        let turns = turns.clone();
        let mut writer = c.writer.buffered();
        let task = async move {
            while let Ok(word) = turns.recv().await {
                writer.write(word).expect("there is room");
            }
        };
        tasks.spawn(task).detach();
        c.reader.read_to_end(&mut Vec::new()).await.map(drop)
    };
    let _served = world.serve(Server::default(), network, handler);
    let mut client = clients.connect(&world, "192.0.2.1:5");
    for word in ["one", "two", "three"] {
        world.settle();
        go.try_send(word.as_bytes()).expect("there is room");
        world.settle();
        let (again, received) = take(&world, client);
        assert_eq!(received, word.as_bytes());
        client = again;
    }
}

async fn in_the_background<W>(mut writer: Buffered<W>, turns: Receiver<()>) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    for n in 0..10 {
        while writer.write(&letters(26)).is_err() {
            let _ = turns.recv().await;
        }
        // Polled last by this task, and then not again: only the task of the connection goes on.
        let _ = poll_once(writer.ready()).await;
        if n % 2 == 1 {
            writer.ready().await?;
        }
        if n == 0 {
            while writer.waiting() > 0 {
                let _ = turns.recv().await;
            }
        }
    }
    while writer.waiting() > 0 {
        let _ = turns.recv().await;
    }
    writer.close().await
}

/// The drain is in a future with a waker of its own, which that of the task must not replace.
#[test]
fn a_drain_within_another_executor_is_woken() {
    let world = World::new();
    let (network, clients) = network_of(1);
    let handler = async move |c: MemoryConnection| {
        let inner = Rc::new(smol::LocalExecutor::new());
        let mut writer = c.writer.buffered().water_marks(0, 1);
        let task = inner.spawn(async move {
            for _ in 0..5 {
                writer.write(b"ab")?;
                writer.ready().await?;
            }
            writer.close().await
        });
        inner.run(task).await
    };
    let served = world.serve(Server::default(), network, handler);
    let mut client = clients.connect(&world, "192.0.2.1:5");
    let mut all = Vec::new();
    for _ in 0..20 {
        let (again, received) = take(&world, client);
        (client, all) = (again, [all, received].concat());
    }
    assert_eq!(all, b"ab".repeat(5));
    drop(client);
    world.pass(Duration::from_secs(3));
    assert_eq!(served.handle.stats().ended[Reason::Handler], 1);
}

/// A gate. It lets calls through once it is open, and keeps no wakers of calls that passed.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Option<Waker>)>>);

impl AsyncWrite for Gate {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut gate = self.0.lock().expect("no panic");
        if gate.0 {
            gate.1 = None;
            return Poll::Ready(Ok(buf.len()));
        }
        gate.1 = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The task sends before the drain is woken.
#[test]
fn a_drain_notices_what_the_task_has_sent() {
    let world = World::new();
    let gate = Gate::default();
    let (poke, poked) = channel::unbounded();
    let handler = async move |c: Connection<Empty, Gate>| {
        let inner = Rc::new(smol::LocalExecutor::new());
        let mut writer = c.writer.buffered().water_marks(0, 1);
        let task = inner.spawn(async move {
            writer.write(b"ab")?;
            writer.ready().await
        });
        let pokes = async {
            while poked.recv().await.is_ok() {}
            future::pending().await
        };
        future::or(inner.run(task), pokes).await
    };
    let listener = Once::new(Connection::new(empty(), gate.clone()));
    let served = world.serve(Server::default(), listener, handler);
    assert_eq!(served.open(), 1);
    gate.0.lock().expect("no panic").0 = true;
    poke.try_send(()).expect("there is room");
    world.settle();
    assert_eq!(served.handle.stats().ended[Reason::Handler], 1);
}

/// It never has to wait, and the drain sends only what fits.
#[test]
fn a_handler_that_floods_shares_the_thread() {
    let world = World::new();
    let (go, gone) = channel::bounded::<()>(1);
    let rounds = Rc::new(Cell::new(0));
    let count = rounds.clone();
    let handler = async move |c: Connection<Empty, Sink>| {
        let _ = gone.recv().await;
        let mut writer = c.writer.buffered();
        for _ in 0..10_000 {
            writer.write(b"hello")?;
            writer.ready().await?;
            count.set(count.get() + 1);
        }
        Ok(())
    };
    let listener = Once::new(Connection::new(empty(), sink()));
    let served = world.serve(Server::default(), listener, handler);
    go.try_send(()).expect("it waits");
    let mut most = 0;
    while rounds.get() < 10_000 {
        let before = rounds.get();
        assert!(world.ex.try_tick(), "it is never done");
        most = most.max(rounds.get() - before);
    }
    assert!(most < 100, "{most} in one turn");
    drop(served);
}

#[test]
fn a_drain_outside_a_server_is_woken() {
    let world = World::new();
    let (near, mut far) = pair(3);
    let both = async move {
        let mut writer = near.writer.buffered();
        writer.write(&letters(100)).expect("room");
        let (closed, received) = future::zip(writer.close(), far.reader.exactly(100)).await;
        closed.expect("it is read");
        received.expect("everything")
    };
    assert_eq!(world.now(both), letters(100));
}
