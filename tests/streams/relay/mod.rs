//! The relay between two connections.

mod between;
mod dropped;
mod ending;
#[cfg(target_os = "linux")]
mod handover;
mod left_out;
mod pressure;
mod served;
#[cfg(target_os = "linux")]
mod spliced;
mod targets;
#[cfg(feature = "tls")]
mod truncated;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory::{self, MemoryConnection};
use halves::{Connection, service};
use smol::{LocalExecutor, Task};

/// A client and an origin in memory, and a relay between them. The test decides when it runs.
struct Relayed {
    ex: LocalExecutor<'static>,
    client: MemoryConnection,
    origin: MemoryConnection,
    relay: Task<io::Result<()>>,
    polls: Arc<AtomicUsize>,
}

impl Relayed {
    /// The pipes of the client and of the origin hold this many bytes in each direction.
    fn new(client_bound: usize, origin_bound: usize) -> Self {
        let (client, near) = memory::pair(client_bound);
        let (far, origin) = memory::pair(origin_bound);
        Self::with(client, near, far, origin)
    }

    fn with(
        client: MemoryConnection,
        near: MemoryConnection,
        far: MemoryConnection,
        origin: MemoryConnection,
    ) -> Self {
        let ex = LocalExecutor::new();
        let polls = Arc::default();
        let relay = ex.spawn(counted(service::relay(near, far), Arc::clone(&polls)));
        Self {
            ex,
            client,
            origin,
            relay,
            polls,
        }
    }

    fn settle(&self) {
        while self.ex.try_tick() {}
    }

    fn polls(&self) -> usize {
        self.polls.load(Ordering::Relaxed)
    }

    /// The result of the relay. Panics if it still runs.
    fn result(&mut self) -> io::Result<()> {
        self.settle();
        let result = future::block_on(future::poll_once(&mut self.relay));
        result.expect("the relay has ended")
    }
}

/// A future that counts its polls.
async fn counted<T>(future: impl Future<Output = T>, polls: Arc<AtomicUsize>) -> T {
    let mut future = Box::pin(future);
    future::poll_fn(|cx| {
        polls.fetch_add(1, Ordering::Relaxed);
        future.as_mut().poll(cx)
    })
    .await
}

/// Writes what fits without waiting, and returns its length.
fn write(end: &mut MemoryConnection, bytes: &[u8]) -> io::Result<usize> {
    let (mut written, mut waits) = (0, 0);
    // The first wait may be that of the half's budget.
    while written < bytes.len() && waits < 2 {
        match future::block_on(future::poll_once(end.writer.write(&bytes[written..]))) {
            Some(n) => (written, waits) = (written + n?, 0),
            None => waits += 1,
        }
    }
    Ok(written)
}

fn close<R, W>(end: &mut Connection<R, W>)
where
    W: futures_lite::AsyncWrite + Unpin,
{
    future::block_on(end.writer.close()).expect("a pipe closes");
}

/// Reads until nothing is there, the end or an error.
fn read(end: &mut MemoryConnection) -> (Vec<u8>, End) {
    let (mut all, mut buf, mut waits) = (Vec::new(), vec![0; 65_536], 0);
    loop {
        match future::block_on(future::poll_once(end.reader.read(&mut buf))) {
            Some(Ok(0)) => return (all, End::Closed),
            Some(Ok(n)) => {
                all.extend_from_slice(&buf[..n]);
                waits = 0;
            }
            Some(Err(error)) => return (all, End::Failed(error.kind())),
            // The first one may be the budget of the half.
            None if waits == 0 => waits = 1,
            None => return (all, End::Open),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Closed,
    Failed(io::ErrorKind),
}

const RESET: End = End::Failed(io::ErrorKind::ConnectionReset);
