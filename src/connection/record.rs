//! What is known of one connection, shared by its halves, its task and the server.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use atomic_waker::AtomicWaker;

use super::{Endpoint, Link};
use crate::shutdown::Shutdown;
use crate::stats::Reason;
use crate::time::Clock;

/// One connection. The halves write to it with plain stores, as each counter has one writer.
pub(crate) struct Record {
    pub(crate) remote: Endpoint,
    /// As the listener knows it; the real one is asked for when somebody wants it.
    pub(crate) local: Endpoint,
    /// None, too, once the server has ended the stream: whoever keeps a `Peer` keeps no socket.
    link: Mutex<Option<Arc<dyn Link>>>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// The peer's end of input was read.
    pub(crate) eof: AtomicBool,
    /// `read_or_drain` has told the handler to end.
    pub(crate) drained: AtomicBool,
    /// The handler and its halves are gone; the stream is being ended.
    pub(crate) closing: AtomicBool,
    /// The server is about to end: what is closing need not wait for the peer any more.
    pub(crate) hurry: AtomicBool,
    /// Why it ended, as `1 + Reason`; 0 while it has not. Set once.
    reason: AtomicU8,
    served: OnceLock<Served>,
    /// The connection's task.
    pub(crate) task: AtomicWaker,
    /// Whoever waits in `read_or_drain`, who may be in another task.
    pub(crate) drain: AtomicWaker,
}

/// What a server adds when it takes a connection.
#[derive(Debug)]
struct Served {
    id: u64,
    opened: Instant,
    home: Arc<Home>,
}

/// What a server's connections have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Home {
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
}

impl Record {
    pub(crate) fn new(remote: Endpoint, local: Endpoint) -> Self {
        Self {
            remote,
            local,
            link: Mutex::new(None),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            eof: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            hurry: AtomicBool::new(false),
            reason: AtomicU8::new(0),
            served: OnceLock::new(),
            task: AtomicWaker::new(),
            drain: AtomicWaker::new(),
        }
    }

    pub(crate) fn set_link(&mut self, link: Arc<dyn Link>) {
        self.link = Mutex::new(Some(link));
    }

    pub(crate) fn link(&self) -> Option<Arc<dyn Link>> {
        self.lock_link().clone()
    }

    /// Lets go of the stream, which is over.
    pub(crate) fn release(&self) {
        let link = self.lock_link().take();
        // Not under the lock: it may run code of others.
        drop(link);
    }

    fn lock_link(&self) -> MutexGuard<'_, Option<Arc<dyn Link>>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called once, by the server that accepted the connection.
    pub(crate) fn serve(&self, id: u64, home: &Arc<Home>) {
        let _ = self.served.set(Served {
            id,
            opened: home.clock.now(),
            home: home.clone(),
        });
    }

    pub(crate) fn id(&self) -> u64 {
        self.served.get().map_or(0, |served| served.id)
    }

    pub(crate) fn opened(&self) -> Option<Instant> {
        self.served.get().map(|served| served.opened)
    }

    pub(crate) fn home(&self) -> Option<&Home> {
        self.served.get().map(|served| &*served.home)
    }

    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// Called by the reader only, hence no read-modify-write.
    pub(crate) fn received(&self, n: usize) {
        let sum = self.bytes_in() + n as u64;
        self.bytes_in.store(sum, Ordering::Relaxed);
    }

    /// Called by the writer only.
    pub(crate) fn sent(&self, n: usize) {
        let sum = self.bytes_out() + n as u64;
        self.bytes_out.store(sum, Ordering::Relaxed);
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        match self.reason.load(Ordering::Acquire) {
            0 => None,
            n => Some(Reason::ALL[usize::from(n) - 1]),
        }
    }

    /// Ends the connection for this reason, unless it has one. Says whether it had none.
    pub(crate) fn end(&self, reason: Reason) -> bool {
        self.reason
            .compare_exchange(0, reason as u8 + 1, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Ends the connection from outside: resets the stream and lets its task drop the handler.
    pub(crate) fn abort(&self, reason: Reason) -> bool {
        let first = self.end(reason);
        if first {
            if let Some(link) = self.link() {
                link.abort();
            }
            self.task.wake();
        }
        first
    }

    /// Ends the connection because the server ends. Says whether that cut anything short: what
    /// is closing, and has all its bytes out, is only told to hurry.
    pub(crate) fn cut(&self) -> bool {
        if self.closing.load(Ordering::Acquire) && self.link().is_none_or(|link| link.is_flushed())
        {
            self.hurry.store(true, Ordering::Release);
            self.task.wake();
            return false;
        }
        self.abort(Reason::Aborted)
    }

    /// What the halves say once the connection was ended from outside.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.reason.load(Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the server ended this connection",
            )),
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("remote", &self.remote)
            .field("bytes_in", &self.bytes_in())
            .field("bytes_out", &self.bytes_out())
            .field("reason", &self.reason())
            .finish_non_exhaustive()
    }
}
