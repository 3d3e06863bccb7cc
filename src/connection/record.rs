//! What is known of one connection, shared by its halves, its task and the server.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use atomic_waker::AtomicWaker;

use super::{Credentials, Endpoint, Link, Phase};
use crate::catch::{guard, quietly_drop};
use crate::shutdown::Shutdown;
use crate::stats::Reason;
use crate::time::{AtomicStamp, Clock, Stamp};

/// One connection. The halves write to it with plain stores, as each counter has one writer.
pub(crate) struct Record {
    pub(crate) remote: Endpoint,
    /// Who the peer is, where the one at the other end of the socket speaks for another.
    real: OnceLock<Box<Endpoint>>,
    /// Whose process it is, on a Unix socket.
    pub(crate) credentials: Option<Box<Credentials>>,
    /// As the listener knows it; the real one is asked for when somebody wants it.
    pub(crate) local: Endpoint,
    /// Dropped at the end: who still holds the peer must not hold the stream open.
    link: Mutex<Option<Arc<dyn Link>>>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// When a byte last moved.
    active: AtomicStamp,
    /// Since when a write waits for the peer; `NEVER` while none does.
    blocked: AtomicStamp,
    /// How long writes waited before that, in nanoseconds.
    blocked_before: AtomicU64,
    /// When its deadlines are to be looked at; `NEVER` while nobody has to.
    pub(crate) due: AtomicStamp,
    /// Handshakes under way, the wait for the real client among them.
    pub(crate) handshakes: AtomicU8,
    /// The real client is still to be named.
    pub(crate) anonymous: AtomicBool,
    /// It has a place in its source's account.
    pub(crate) counted: AtomicBool,
    /// The peer's end of input was read.
    pub(crate) eof: AtomicBool,
    /// `read_or_drain` has told the handler to end.
    pub(crate) drained: AtomicBool,
    /// The handler and its halves are gone; the stream is being ended.
    pub(crate) closing: AtomicBool,
    /// The server is about to end: what is closing need not wait for the peer any more.
    pub(crate) hurry: AtomicBool,
    /// Why and how it ended, 0 while it has not. Set once; see [`Verdict`].
    verdict: AtomicU8,
    served: OnceLock<Served>,
    /// The connection's task.
    pub(crate) task: AtomicWaker,
    /// Whoever waits in `read_or_drain`, who may be in another task.
    pub(crate) drain: AtomicWaker,
}

/// Why a connection ends, and whether its stream is reset, or closed in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) reason: Reason,
    pub(crate) reset: bool,
}

/// What a server adds when it takes a connection.
struct Served {
    id: u64,
    opened: Stamp,
    home: Arc<Home>,
}

/// What a server's connections have in common.
pub(crate) struct Home {
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    /// Upgraded when it is asked for something; it holds us, in turn.
    pub(crate) host: Weak<dyn Host>,
}

/// What a connection asks of its server.
pub(crate) trait Host: Send + Sync {
    /// Runs the checks of admission on the real client.
    fn identify(&self, record: &Arc<Record>) -> Result<(), Reason>;
    /// A handshake has begun, which has a deadline.
    fn watch(&self, record: &Arc<Record>);
}

impl Record {
    pub(crate) fn new(remote: Endpoint, local: Endpoint) -> Self {
        Self {
            remote,
            real: OnceLock::new(),
            credentials: None,
            local,
            link: Mutex::new(None),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            active: AtomicStamp::new(Stamp::NEVER),
            blocked: AtomicStamp::new(Stamp::NEVER),
            blocked_before: AtomicU64::new(0),
            due: AtomicStamp::new(Stamp::NEVER),
            handshakes: AtomicU8::new(0),
            anonymous: AtomicBool::new(false),
            counted: AtomicBool::new(false),
            eof: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            hurry: AtomicBool::new(false),
            verdict: AtomicU8::new(0),
            served: OnceLock::new(),
            task: AtomicWaker::new(),
            drain: AtomicWaker::new(),
        }
    }

    pub(crate) fn set_link(&self, link: Arc<dyn Link>) {
        *self.link_slot() = Some(link);
    }

    pub(crate) fn link(&self) -> Option<Arc<dyn Link>> {
        self.link_slot().clone()
    }

    fn link_slot(&self) -> MutexGuard<'_, Option<Arc<dyn Link>>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who the peer is, as far as is known.
    pub(crate) fn peer(&self) -> &Endpoint {
        self.real.get().map_or(&self.remote, |real| real)
    }

    pub(crate) fn set_real(&self, real: Endpoint) {
        let _ = self.real.set(Box::new(real));
    }

    /// Called once, by the server that accepted the connection.
    pub(crate) fn serve(&self, id: u64, home: &Arc<Home>) {
        let opened = home.clock.stamp();
        self.active.set(opened);
        let _ = self.served.set(Served {
            id,
            opened,
            home: home.clone(),
        });
    }

    pub(crate) fn id(&self) -> u64 {
        self.served.get().map_or(0, |served| served.id)
    }

    pub(crate) fn opened(&self) -> Stamp {
        self.served
            .get()
            .map_or(Stamp::NEVER, |served| served.opened)
    }

    pub(crate) fn active(&self) -> Stamp {
        self.active.get()
    }

    pub(crate) fn home(&self) -> Option<&Home> {
        self.served.get().map(|served| &*served.home)
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.closing.load(Ordering::Acquire) {
            Phase::Closing
        } else if self.handshakes.load(Ordering::Acquire) > 0 {
            Phase::Handshake
        } else {
            Phase::Open
        }
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
        self.moved(n);
    }

    /// Called by the writer only.
    pub(crate) fn sent(&self, n: usize) {
        let sum = self.bytes_out() + n as u64;
        self.bytes_out.store(sum, Ordering::Relaxed);
        self.moved(n);
        if self.is_blocked() {
            let before = self.blocked_for(self.active());
            let before = u64::try_from(before.as_nanos()).unwrap_or(u64::MAX);
            self.blocked_before.store(before, Ordering::Relaxed);
            self.blocked.set(Stamp::NEVER);
        }
    }

    /// A write waits for the peer. Called by the writer only.
    pub(crate) fn block(&self) {
        if !self.is_blocked()
            && let Some(home) = self.home()
        {
            self.blocked.set(home.clock.stamp());
        }
    }

    /// Whether the handler is in the middle of a write.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.get() != Stamp::NEVER
    }

    /// How long writes have waited for the peer, in all.
    pub(crate) fn blocked_for(&self, now: Stamp) -> Duration {
        let before = Duration::from_nanos(self.blocked_before.load(Ordering::Relaxed));
        before + now.since(self.blocked.get())
    }

    fn moved(&self, n: usize) {
        if n > 0
            && let Some(home) = self.home()
        {
            self.active.set(home.clock.stamp());
        }
    }

    pub(crate) fn verdict(&self) -> Option<Verdict> {
        let code = self.verdict.load(Ordering::Acquire).checked_sub(1)?;
        Some(Verdict {
            reason: Reason::ALL[usize::from(code / 2)],
            reset: code % 2 == 1,
        })
    }

    /// Ends the connection, unless it has ended. Says whether it had not.
    pub(crate) fn end(&self, verdict: Verdict) -> bool {
        let code = 1 + 2 * (verdict.reason as u8) + u8::from(verdict.reset);
        self.verdict
            .compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Ends the connection from outside: resets the stream, also one that is being closed for an
    /// earlier reason, and has its task drop the handler.
    pub(crate) fn abort(&self, reason: Reason) {
        let _ = self.end(Verdict {
            reason,
            reset: true,
        });
        self.reset();
    }

    /// Ends the connection from outside: its task drops the handler, and ends the stream in order
    /// unless that would pass a cut answer off as a whole one.
    pub(crate) fn close(&self, reason: Reason) -> bool {
        let first = self.end(Verdict {
            reason,
            reset: false,
        });
        if first {
            self.task.wake();
        }
        first
    }

    /// Ends the connection because the server ends. Says whether that cut anything short: what
    /// is closing, and has all its bytes out, is only told to hurry.
    pub(crate) fn cut(&self) -> bool {
        // First: what is told to close, and has not begun to, does not linger then.
        self.hurry.store(true, Ordering::Release);
        let closing = self.closing.load(Ordering::Acquire);
        if closing && self.is_flushed() {
            self.task.wake();
            return false;
        }
        let first = self.end(Verdict {
            reason: Reason::Aborted,
            reset: true,
        });
        if first || closing {
            self.reset();
        } else {
            self.task.wake();
        }
        first || closing
    }

    /// Whether this process holds nothing more that the handler wrote.
    pub(crate) fn is_flushed(&self) -> bool {
        self.link().is_none_or(|link| link.is_flushed())
    }

    /// The connection is over: for this reason, unless it has one. Says which. Lets go of the
    /// stream, and of our task: both would otherwise live as long as somebody holds the peer.
    pub(crate) fn settle(&self, reason: Reason) -> Reason {
        let _ = self.end(Verdict {
            reason,
            reset: false,
        });
        if let Some(link) = self.link_slot().take() {
            let _ = guard(|| link.close());
            quietly_drop(link);
        }
        self.drain.wake();
        drop(self.task.take());
        self.verdict().map_or(reason, |verdict| verdict.reason)
    }

    pub(crate) fn reset(&self) {
        if let Some(link) = self.link() {
            let _ = guard(|| link.abort());
        }
        self.task.wake();
    }

    /// What the halves say once the connection was ended from outside.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.verdict.load(Ordering::Relaxed) {
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
            .field("peer", self.peer())
            .field("phase", &self.phase())
            .field("bytes_in", &self.bytes_in())
            .field("bytes_out", &self.bytes_out())
            .field("verdict", &self.verdict())
            .finish_non_exhaustive()
    }
}
