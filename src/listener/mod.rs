//! Where connections come from.

mod bind;
mod files;
pub mod memory;
mod once;
mod several;
mod stdio;
mod tcp;

use std::future::Future;
use std::io;

use futures_lite::{AsyncRead, AsyncWrite};

use crate::connection::Connection;

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
///     type Reader = halves::AnyRead;
///     type Writer = halves::AnyWrite;
///
///     async fn accept(&mut self) -> io::Result<Option<Connection>> {
///         Ok(self.0.take())
///     }
/// }
/// ```
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
    /// A server goes on after errors that concern one connection (such as `ECONNABORTED`), waits
    /// and retries after those that say that a resource is used up (such as `EMFILE`), and ends
    /// after any other.
    fn accept(
        &mut self,
    ) -> impl Future<Output = io::Result<Option<Connection<Self::Reader, Self::Writer>>>>;
}
