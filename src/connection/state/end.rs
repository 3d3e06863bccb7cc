//! How a connection comes to its one end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::Waker;

use super::{Flag, Record};
use crate::catch::{catch_panic, quietly_drop};
use crate::connection::Link;
use crate::reason::Reason;

/// Why a connection ends, and whether its stream is reset, or closed in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) reason: Reason,
    pub(crate) reset: bool,
}

impl Record {
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
            self.wake();
        }
        first
    }

    /// Ends the connection because the server ends. Says whether that cut anything short: what
    /// is closing, and has all its bytes out, is only told to hurry.
    pub(crate) fn cut(&self) -> bool {
        // First: what is told to close, and has not begun to, does not linger then.
        self.flags.set(Flag::SkipLinger);
        let closing = self.flags.has(Flag::Closing);
        if closing && self.is_flushed() {
            self.wake();
            return false;
        }
        let first = self.end(Verdict {
            reason: Reason::Aborted,
            reset: true,
        });
        if first || closing {
            self.reset();
        } else {
            self.wake();
        }
        first || closing
    }

    /// Whether this process holds nothing more that the handler wrote.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.is_corked() && self.link().is_none_or(|link| link.is_flushed())
    }

    /// The connection is over: for this reason, unless it has one. Says which. Lets go of the
    /// stream, and of our task: both would otherwise live as long as somebody holds the peer.
    pub(crate) fn finish(&self, reason: Reason) -> Reason {
        let _ = self.end(Verdict {
            reason,
            reset: false,
        });
        self.drop_link();
        if let Some(cold) = self.cold.get() {
            drop(cold.deadlines.take());
            drop(cold.task.take());
        }
        // Who reads on, in another task, is to hear of it.
        self.waiting().wake();
        self.verdict().map_or(reason, |verdict| verdict.reason)
    }

    /// A link that holds the halves themselves, unless it comes too late: nobody would let go of it.
    pub(crate) fn set_layer_link(&self, link: Arc<dyn Link>) {
        self.set_link(link);
        if self.verdict().is_some() {
            self.drop_link();
        }
    }

    /// Lets go of the link that was given.
    pub(crate) fn drop_link(&self) {
        let link = self.cold.get().and_then(|cold| cold.link().take());
        if let Some(link) = link {
            let _ = catch_panic(|| link.close());
            quietly_drop(link);
        }
    }

    pub(crate) fn reset(&self) {
        self.reset_stream();
        self.wake();
    }

    /// The socket first: the drop of a layer above it could close it, which says the end.
    pub(crate) fn reset_stream(&self) {
        self.flags.set(Flag::Reset);
        self.reset_socket();
        if let Some(link) = self.link() {
            drop(catch_panic(|| link.abort()));
        }
    }

    /// Has the connection's task, and whoever reads, look at how things are.
    pub(crate) fn wake(&self) {
        // What was stored before is seen by a task that we do not see waiting yet.
        fence(Ordering::SeqCst);
        self.waiting().wake();
        if let Some(cold) = self.cold.get() {
            cold.task.wake();
        }
    }

    /// The connection's task waits. What was stored before it is woken the next time is seen by
    /// it after this.
    pub(crate) fn register_task(&self, waker: &Waker) {
        if !self.waiting().reaches(waker) {
            self.cold().task.register(waker);
            fence(Ordering::SeqCst);
        }
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
