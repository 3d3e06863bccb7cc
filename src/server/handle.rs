//! A hold on a running server, for other tasks and threads.

use std::fmt;
use std::sync::Arc;

use super::state::Registry;
use crate::shutdown::Shutdown;
use crate::stats::Stats;

/// A handle to one [`Server`](crate::Server). Clones are cheap.
///
/// # Examples
///
/// ```
/// use halves::{Connection, Executor, Server, bind, service::discard};
///
/// let ex = Executor::new();
/// let server = Server::default();
/// let handle = server.handle();
/// ex.spawn(async move { handle.shutdown().drain() }).detach();
/// let report = ex.block_on(async {
///     let listener = bind("127.0.0.1:0").await?;
///     server.serve(&ex, listener, async |Connection { reader, writer, .. }| discard(reader, writer).await).await
/// })?;
/// assert_eq!(report.aborted, 0);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Handle {
    registry: Arc<Registry>,
    shutdown: Shutdown,
}

impl Handle {
    pub(super) fn new(registry: Arc<Registry>, shutdown: Shutdown) -> Self {
        Self { registry, shutdown }
    }

    /// What the server has done so far.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Server::default().handle().stats().accepted, 0);
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.registry.stats()
    }

    /// The switch that ends this server, and no other.
    ///
    /// # Examples
    ///
    /// ```
    /// halves::Server::default().handle().shutdown().drain();
    /// ```
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.stats()).finish()
    }
}
