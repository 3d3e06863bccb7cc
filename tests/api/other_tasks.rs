//! Handlers that pass halves to other tasks, leak them, or wrap them: the connection still ends
//! well.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use halves::listener::files;
use halves::listener::memory::{self, MemoryConnection};
use halves::service::echo;
use halves::{
    Connection, Executor, Once, Reason, Server, Shutdown, Timeouts, bind, connect, serve,
};

use crate::support::harness::World;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_writer_kept_by_another_task_does_not_delay_the_end_for_the_client() -> io::Result<()> {
    let ex = Executor::new();
    let elsewhere = ex.clone();
    let shutdown = Shutdown::default();
    let handler = async move |mut c: Connection| {
        let writer = c.writer;
        elsewhere
            .spawn(async move {
                let _kept = writer;
                pending::<()>().await;
            })
            .detach();
        c.reader.read_to_end(&mut Vec::new()).await.map(drop)
    };
    ex.block_on(async {
        let listener = bind("127.0.0.1:0").await?;
        let address = listener.local_addrs()[0].socket_addr().expect("it is TCP");
        let server = Server::default().shutdown(shutdown.clone());
        let client = async {
            let mut client = connect(address).await?;
            client.writer.close().await?;
            assert_eq!(client.reader.read(&mut [0]).await?, 0);
            shutdown.drain();
            io::Result::Ok(())
        };
        let (report, ()) = future::try_zip(server.serve(&ex, listener, handler), client).await?;
        assert_eq!(report.stats.ended[Reason::Eof], 1);
        Ok(())
    })
}

#[test]
fn a_reader_kept_by_another_task_reads_the_end() {
    let world = World::new();
    let ex = world.ex.clone();
    let (received, receiver) = smol::channel::unbounded();
    let handler = async move |c: MemoryConnection| {
        let (mut reader, received) = (c.reader, received.clone());
        let wait = async move {
            let result = reader.read_or_drain(&mut [0]).await;
            received
                .try_send(result.map_err(|error| error.kind()))
                .expect("received");
        };
        ex.spawn(wait).detach();
        Ok(())
    };
    let (served, connector) = world.serve_memory(Server::default(), handler);
    let client = world.connect(&connector);
    world.pass(SECOND * 2);
    assert_eq!(served.events(), ["closed 1 handler"]);
    let result = receiver.try_recv().expect("it was woken");
    assert_eq!(result, Err(io::ErrorKind::ConnectionAborted));
    drop(client);
}

#[test]
fn a_tcp_reader_kept_by_another_task_releases_its_descriptor() -> io::Result<()> {
    let ex = Executor::new();
    let elsewhere = ex.clone();
    let shutdown = Shutdown::default();
    let (ended, end) = smol::channel::unbounded();
    let handler = async move |mut c: Connection| {
        let ended = ended.clone();
        // The end of the client's input was read, so there is nothing to wait for.
        c.reader.read_to_end(&mut Vec::new()).await?;
        let wait = async move {
            while c.reader.read(&mut [0]).await.is_ok() {
                future::yield_now().await;
            }
            ended.try_send(()).expect("received");
        };
        elsewhere.spawn(wait).detach();
        Ok(())
    };
    ex.block_on(async {
        let listener = bind("127.0.0.1:0").await?;
        let address = listener.local_addrs()[0].socket_addr().expect("it is TCP");
        let server = Server::default().shutdown(shutdown.clone());
        let client = async {
            let mut client = connect(address).await?;
            client.writer.close().await?;
            assert_eq!(client.reader.read(&mut [0]).await?, 0);
            end.recv().await.map_err(io::Error::other)?;
            shutdown.drain();
            io::Result::Ok(())
        };
        future::try_zip(server.serve(&ex, listener, handler), client).await?;
        Ok(())
    })
}

#[test]
fn a_connection_that_its_handler_erases_is_still_the_same() -> io::Result<()> {
    let ex = Executor::new();
    let listener = Once::new(Connection::new(&b"hello"[..], Vec::new()));
    let handler = async |c: Connection<&'static [u8], Vec<u8>>| {
        let c = c.erase();
        echo(c.reader, c.writer).await
    };
    let report = ex.block_on(serve(&ex, listener, handler))?;
    assert_eq!((report.stats.bytes_in, report.stats.bytes_out), (5, 5));
    assert_eq!(report.stats.ended[Reason::Eof], 1);
    Ok(())
}

#[test]
fn a_flush_that_fails_after_the_handler_is_the_connections_error() -> io::Result<()> {
    let ex = Executor::new();
    let handler = async |mut c: Connection| c.writer.write_all(b"hello").await;
    let report = ex.block_on(async {
        let listener = Once::new(files("/dev/null", "/dev/full").await?);
        serve(&ex, listener, handler).await
    })?;
    assert_eq!(report.stats.ended[Reason::Error], 1);
    Ok(())
}

#[test]
fn a_wait_for_an_idle_client_continues_after_it_was_cancelled() {
    let world = World::new();
    let shutdown = Shutdown::default();
    let clock = world.clock.clone();
    let handler = async move |mut c: MemoryConnection| {
        loop {
            let mut buf = [0; 8];
            let read = async { c.reader.read_or_drain(&mut buf).await.map(Some) };
            let tick = async {
                clock.sleep(SECOND / 4).await;
                Ok(None)
            };
            if future::or(read, tick).await? == Some(0) {
                return Ok(());
            }
        }
    };
    let server = Server::default().shutdown(shutdown.clone());
    let (served, connector) = world.serve_memory(server, handler);
    let client = world.connect(&connector);
    shutdown.drain();
    for _ in 0..4 {
        world.pass(SECOND / 4);
    }
    drop(client);
    world.settle();
    let events = ["draining 1 within 30s", "closed 1 drained", "ended 1 0"];
    assert_eq!(served.events(), events);
}

/// A writer with a fault at its end. It accepts all bytes.
enum Faulty {
    PanicsInClose,
    PanicsInDrop,
    NeverFlushes,
}

impl AsyncWrite for Faulty {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {
            Self::NeverFlushes => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        assert!(!matches!(*self, Self::PanicsInClose), "in close");
        Poll::Pending
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        assert!(!matches!(*self, Self::PanicsInDrop), "in drop");
    }
}

#[test]
fn a_writer_that_panics_when_the_server_closes_it_is_a_panic_of_its_connection() {
    let world = World::new();
    let (reader, _kept) = memory::pair(8);
    let listener = Once::new(Connection::new(reader.reader, Faulty::PanicsInClose).erase());
    let served = world.serve(Server::default(), listener, async |_| Ok(()));
    assert_eq!(served.events(), ["closed 1 panic: in close", "ended 1 0"]);
}

#[test]
fn a_writer_that_panics_in_its_drop_does_not_end_the_server() {
    let world = World::new();
    let shutdown = Shutdown::default();
    let (reader, _kept) = memory::pair(8);
    let listener = Once::new(Connection::new(reader.reader, Faulty::PanicsInDrop).erase());
    let server = Server::default().shutdown(shutdown.clone());
    let served = world.serve(server, listener, async |c| {
        let _kept = c;
        pending().await
    });
    shutdown.abort();
    world.settle();
    assert_eq!(world.report(served).aborted, 1);
}

#[test]
fn bytes_that_are_never_flushed_are_cut_by_the_idle_timeout_in_every_phase() {
    for returns in [true, false] {
        let world = World::new();
        let (reader, _kept) = memory::pair(8);
        let listener = Once::new(Connection::new(reader.reader, Faulty::NeverFlushes).erase());
        let server = Server::default().timeouts(Timeouts::default().idle(SECOND * 5));
        let served = world.serve(server, listener, async move |c| {
            let _kept = c;
            if returns { Ok(()) } else { pending().await }
        });
        world.pass(SECOND * 5);
        // Once it has to close, it has the time to linger.
        world.pass(SECOND * 2);
        assert_eq!(served.events(), ["closed 1 idle", "ended 1 0"]);
    }
}

#[test]
fn an_abort_after_a_close_does_not_linger() {
    let world = World::new();
    let shutdown = Shutdown::default();
    let server = Server::default().shutdown(shutdown.clone());
    let (served, connector) = world.serve_memory(server, async |c: MemoryConnection| {
        let _kept = c;
        pending().await
    });
    let client = world.connect(&connector);
    world.settle();
    // Both calls come before the task of the connection runs again.
    shutdown.abort();
    served.handle.close_clients();
    world.settle();
    let events = served.events();
    assert_eq!(events[1..], ["closed 1 closed", "ended 1 0"], "{events:?}");
    drop(client);
}
