//! Connections within one process: two-way pipes with bounded buffers, and a listener of them.
//!
//! Tests of a handler on these need no network and are deterministic. With a bound of 1 the two
//! ends run in lockstep: a write returns only when the other end has read all but its last byte.
//!
//! As on a socket, a client that writes all its input before it reads can deadlock with a handler
//! that answers meanwhile: once both directions are full, each end waits for the other. On sockets
//! this takes some hundred KiB, here `bound` bytes. [`ask`] writes and reads at the same time.
//!
//! # Examples
//!
//! ```
//! use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
//! use halves::{Connection, Executor, serve, service};
//! use halves::listener::memory;
//!
//! let ex = Executor::new();
//! ex.block_on(async {
//!     let (listener, connector) = memory::listener(1024);
//!     let server = serve(&ex, listener, async |Connection { reader, writer, .. }| {
//!         service::upper(reader, writer).await
//!     });
//!     let client = async {
//!         let Connection { mut reader, mut writer, .. } = connector.connect().await?;
//!         writer.write_all(b"hello").await?;
//!         writer.close().await?;
//!         let mut answer = String::new();
//!         reader.read_to_string(&mut answer).await?;
//!         assert_eq!(answer, "HELLO");
//!         drop(connector);
//!         std::io::Result::Ok(())
//!     };
//!     future::try_zip(server, client).await
//! })?;
//! # std::io::Result::Ok(())
//! ```

mod pipe;

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::{AsyncReadExt, AsyncWriteExt, Stream, future};
use smol::channel::{self, Receiver, Sender};

use super::Listener;
use crate::connection::{Connection, Endpoint};

pub use pipe::{PipeReader, PipeWriter, pair};

/// The most connections that wait to be accepted; the default backlog of TCP listeners.
const BACKLOG_CONNECTIONS: usize = 4096;

/// One end of a connection in memory.
pub type MemoryConnection = Connection<PipeReader, PipeWriter>;

/// Accepts the connections of its [`Connector`]s and ends when all of these are dropped. Dropping
/// it resets the connections that wait to be accepted.
#[derive(Debug)]
pub struct MemoryListener(Pin<Box<Receiver<MemoryConnection>>>);

/// Connects to its [`MemoryListener`]. Clones connect to the same listener.
#[derive(Clone, Debug)]
pub struct Connector {
    queue: Sender<MemoryConnection>,
    bound: usize,
}

/// Creates a listener of connections in memory, and its connector. Each direction of a connection
/// holds at most `bound` bytes.
///
/// # Panics
///
/// If `bound` is 0.
///
/// # Examples
///
/// See the [module](self).
#[must_use]
pub fn listener(bound: usize) -> (MemoryListener, Connector) {
    assert!(
        bound > 0,
        "the bound of a pipe is 0 bytes; it must be at least 1"
    );
    let (queue, accepted) = channel::bounded(BACKLOG_CONNECTIONS);
    (
        MemoryListener(Box::pin(accepted)),
        Connector { queue, bound },
    )
}

impl Connector {
    /// Opens a connection. Waits only while 4,096 others wait to be accepted. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if the listener is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// let (listener, connector) = halves::listener::memory::listener(64);
    /// let client = smol::block_on(connector.connect())?;
    /// # drop((listener, client));
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn connect(&self) -> io::Result<MemoryConnection> {
        let (ours, theirs) = pair(self.bound);
        match self.queue.send(theirs).await {
            Ok(()) => Ok(ours),
            Err(_) => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

impl MemoryListener {
    pub(super) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<MemoryConnection>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl Drop for MemoryListener {
    /// Resets the connections that were not accepted, as the kernel does. Otherwise the queue would
    /// keep them while a connector exists.
    fn drop(&mut self) {
        self.0.close();
        while let Ok(connection) = self.0.try_recv() {
            if let Some(link) = connection.peer.record().link() {
                link.abort();
            }
        }
    }
}

impl Listener for MemoryListener {
    type Reader = PipeReader;
    type Writer = PipeWriter;

    async fn accept(&mut self) -> io::Result<Option<MemoryConnection>> {
        Ok(poll_fn(|cx| self.poll_accept(cx)).await)
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        vec![Endpoint::Memory]
    }

    fn stop(&mut self) {
        self.0.close();
    }
}

/// Runs a handler on one end of a connection in memory with `input`, then the end of input, and
/// returns its output. For tests.
///
/// Returns when the handler has returned and both its halves are dropped. It writes and reads at
/// the same time, so it cannot deadlock with the handler. The connection holds one byte each way,
/// so the handler gets each byte alone. Input that the handler does not read is discarded. There is
/// no server: the connection has no deadline and no drain.
///
/// Cancel-safe: dropping the future drops the handler.
///
/// # Errors
///
/// The error of the handler.
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncWriteExt, future};
/// use halves::Connection;
/// use halves::listener::memory;
///
/// async fn greet(mut c: Connection) -> std::io::Result<()> {
///     let name = c.reader.line().await?.unwrap_or_default();
///     c.writer.write_all(b"Hello, ").await?;
///     c.writer.write_all(&name).await
/// }
///
/// let answer = future::block_on(memory::ask(greet, "Ada\n"))?;
/// assert_eq!(answer, b"Hello, Ada\n");
/// # std::io::Result::Ok(())
/// ```
pub async fn ask<H, F>(handler: H, input: impl AsRef<[u8]>) -> io::Result<Vec<u8>>
where
    H: FnOnce(Connection) -> F,
    F: Future<Output = io::Result<()>>,
{
    let (here, there) = pair(1);
    let (mut reader, mut writer) = (here.reader, here.writer);
    // The block drops the handler's future, and its halves, as soon as it is ready.
    let run = async { handler(there.erase()).await };
    let write = async {
        let written = writer.write_all(input.as_ref()).await;
        match written.and(writer.close().await) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    };
    let read = async {
        let mut output = Vec::new();
        reader.read_to_end(&mut output).await?;
        Ok(output)
    };
    let ((), ((), output)) = future::try_zip(run, future::try_zip(write, read)).await?;
    Ok(output)
}
