//! Connections within one process: a two-way pipe with bounded buffers, and a listener of them.
//!
//! A handler served on these needs no network, and its tests no luck. With a bound of 1 the two
//! ends go in lockstep: no write returns before the other end has read all but its last byte.
//!
//! As on a socket, a client that writes all of its input before it reads waits for ever if the handler
//! answers meanwhile: once both directions are full, each end waits for the other. On sockets this
//! takes some hundred KiB, here it takes `bound` bytes. [`ask`] writes and reads at the same time.
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

mod ask;
mod pipe;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::Stream;
use smol::channel::{self, Receiver, Sender};

use super::Listener;
use crate::connection::{Connection, Endpoint};

pub use ask::ask;
pub use pipe::{PipeReader, PipeWriter, pair};

/// As many connections wait to be accepted as a TCP listener of ours lets wait.
const BACKLOG: usize = 4096;

/// One end of a connection in memory.
pub type MemoryConnection = Connection<PipeReader, PipeWriter>;

/// Accepts what its [`Connector`]s connect; ends when they are all dropped. When it is dropped
/// itself, those who wait to be accepted are reset.
#[derive(Debug)]
pub struct MemoryListener(Pin<Box<Receiver<MemoryConnection>>>);

/// Connects to its [`MemoryListener`]. Clones connect to the same one.
#[derive(Clone, Debug)]
pub struct Connector {
    queue: Sender<MemoryConnection>,
    bound: usize,
}

/// A listener of connections in memory, and what connects to it. Each direction of a connection
/// holds at most `bound` bytes.
///
/// # Panics
///
/// When `bound` is 0: nothing could ever pass.
///
/// # Examples
///
/// See the [module](self).
#[must_use]
pub fn listener(bound: usize) -> (MemoryListener, Connector) {
    assert!(bound > 0, "a pipe of 0 bytes lets nothing pass");
    let (queue, accepted) = channel::bounded(BACKLOG);
    (
        MemoryListener(Box::pin(accepted)),
        Connector { queue, bound },
    )
}

impl Connector {
    /// Makes a connection; it waits only while 4,096 others wait to be accepted. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) when the listener is gone.
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
    /// Resets those who were never accepted, as the kernel does; the queue would keep them for as
    /// long as there is a connector.
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
