//! Where connections come from.
//!
//! # What each stream can do
//!
//! A handler need not know any of this; who chooses a stream may want to. *Half-close* says
//! whether one direction can end while the other goes on: by
//! [`close`](futures_lite::AsyncWriteExt::close), and seen as the end of input
//! ([`Peer::can_half_close`](crate::Peer::can_half_close) tells it at run time). The *end* is what the
//! server does when a handler has returned, and waits for: for what was written without a bound but
//! the deadlines, for the peer 2 s and 1 MiB at most. A *reset* is what the peer sees of a panic,
//! [`Handle::kill`](crate::Handle::kill), or a drain's deadline. A drain itself is the same on all:
//! [`Reader::read_or_drain`](crate::Reader::read_or_drain) tells of it, and needs nothing of the
//! stream.
//!
//! | stream | half-close | the end | a reset |
//! |---|---|---|---|
//! | TCP | yes | said, then what still comes is discarded until the peer ends too | RST |
//! | Unix sockets | yes | the same | the peer reads the end, or a reset where its input was unread |
//! | sockets that others have open, too ([inherited], [`stdio`]) | yes | the same, said in any case | as TCP or Unix |
//! | [memory] | yes | as TCP | an error at both ends |
//! | pipes ([`stdio`]), FIFOs ([`files`]) | yes | closed | closed: a pipe has no other end |
//! | [`fifos`] | no: they outlast who uses them | closed | closed |
//! | terminals and other devices ([`device`], [`stdio`]) | no | closed | closed |
//! | files | yes: the end of the file | written, then closed | closed: what is written stays |
//! | [children](crate::process) | yes | its input is closed, its output discarded, its exit awaited | it is killed, with its group |
//! | one [split](crate::Connection::from_stream) stream | as the stream | closed, discarded as above, then as what is beneath | as what is beneath |
//! | any halves, [erased](crate::Connection::erase) | as the writer's close | flushed and closed | dropped |
//! | any halves, as they are | as the writer's close | what the handler did | dropped |
//!
//! Pipes, terminals, most devices, sockets and children are watched: nobody waits for them but the
//! task. Files, devices of which the system tells nothing, and what [`stdio`] cannot open once more
//! (two sockets, another user's terminal, a device that is no terminal, a pipe where there is no
//! `/proc`) are read and written by threads of the blocking pool, 500 at most; it also waits for
//! [children](crate::process) where the kernel has no descriptors of processes.

mod bind;
mod files;
mod foreign;
mod given;
pub mod inherited;
pub mod memory;
mod once;
mod options;
mod retry;
mod several;
mod socket;
mod stdio;
mod tcp;
#[cfg(feature = "tokio")]
mod tokio_net;
mod unix;

use std::future::Future;
use std::io;

use futures_lite::{AsyncRead, AsyncWrite};

use crate::connection::{Connection, Endpoint};

pub use bind::{bind, connect};
pub use files::{device, fifos, files};
pub use once::Once;
pub use several::Listeners;
pub use stdio::stdio;

/// Yields connections.
///
/// # Examples
///
/// A listener that yields one connection and ends:
///
/// ```
/// use halves::{Connection, Listener};
/// use std::io;
///
/// struct One(Option<Connection>);
///
/// impl Listener for One {
///     type Reader = halves::connection::AnyRead;
///     type Writer = halves::connection::AnyWrite;
///
///     async fn accept(&mut self) -> io::Result<Option<Connection>> {
///         Ok(self.0.take())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not yield connections",
    label = "not a listener",
    note = "for an address, bind it: `bind(\"127.0.0.1:50007\").await?`",
    note = "for a socket that listens already, take it over: `Listeners::try_from(OwnedFd::from(socket))?`"
)]
pub trait Listener {
    /// What connections are read from.
    type Reader: AsyncRead + Unpin;
    /// What connections are written to.
    type Writer: AsyncWrite + Unpin;

    /// Waits for the next connection; `Ok(None)` says that there will be no more.
    ///
    /// It must be cancel-safe: a future that is dropped before it is ready has taken no
    /// connection. A connection that is there already is to be returned by the first poll.
    ///
    /// # Errors
    ///
    /// A server goes on after errors that concern one connection (such as `ECONNABORTED`, also
    /// inside [`Error::Accept`](crate::Error::Accept)), at once up to 32 in a row, and then with
    /// pauses. It waits and retries after those that say that a resource is used up (such as
    /// `EMFILE`), and ends after any other. Two connections with one [`Peer`](crate::Peer) are such
    /// an error, too.
    fn accept(
        &mut self,
    ) -> impl Future<Output = io::Result<Option<Connection<Self::Reader, Self::Writer>>>>;

    /// Refuses new clients, and keeps those that have connected: [`accept`](Self::accept) still
    /// yields them. A server that ends calls this once, then accepts until an accept waits, and
    /// drops the listener.
    ///
    /// The default does nothing. Clients that connect between that last accept and the drop are then
    /// lost. A listener that wraps another passes the call on.
    fn stop(&mut self) {}

    /// Where it listens, for [`Handle::local_addrs`](crate::Handle::local_addrs); nothing, where it does not
    /// say.
    fn local_addrs(&self) -> Vec<Endpoint> {
        Vec::new()
    }
}
