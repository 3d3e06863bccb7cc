//! The end of a connection: its reason, and the close or reset of its stream.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::Waker;

use super::{Flag, Record};
use crate::catch::{catch_panic, quietly_drop};
use crate::connection::Link;
use crate::reason::Reason;
use crate::time::take_asleep;

/// The reason for the end of a connection, and whether its stream is reset or closed in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) reason: Reason,
    pub(crate) reset: bool,
}

impl Record {
    pub(crate) fn ending(&self) -> Option<Ending> {
        let code = self.ending.load(Ordering::Acquire).checked_sub(1)?;
        Some(Ending {
            reason: Reason::ALL[usize::from(code / 2)],
            reset: code % 2 == 1,
        })
    }

    /// Sets the ending, unless one is set. Returns true if this call has set it.
    pub(crate) fn end(&self, ending: Ending) -> bool {
        let code = 1 + 2 * (ending.reason as u8) + u8::from(ending.reset);
        self.ending
            .compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Resets the stream, even if it is being closed for an earlier reason, and makes the
    /// connection's task drop the handler.
    pub(crate) fn abort(&self, reason: Reason) {
        let _ = self.end(Ending {
            reason,
            reset: true,
        });
        self.reset();
    }

    /// Makes the connection's task drop the handler and end the stream in order. The task resets the
    /// stream instead if its answer is truncated. Returns false if the connection has ended already.
    pub(crate) fn close(&self, reason: Reason) -> bool {
        let first = self.end(Ending {
            reason,
            reset: false,
        });
        if first {
            self.wake();
        }
        first
    }

    /// Ends the connection because the server ends. Returns true if this truncates anything. A
    /// connection that is closing and has sent all its bytes only skips its linger.
    pub(crate) fn cut(&self) -> bool {
        // Set first, so that a connection that begins its close later does not linger either.
        self.flags.set(Flag::SkipLinger);
        let closing = self.flags.has(Flag::Closing);
        if closing && self.is_flushed() {
            self.wake();
            return false;
        }
        let first = self.end(Ending {
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

    /// Asks the code at the other end to end by itself. Returns false if it cannot be asked.
    pub(crate) fn ask_to_end(&self) -> bool {
        let link = self.link();
        link.is_some_and(|link| catch_panic(|| link.ask_to_end()).unwrap_or(false))
    }

    /// Returns true if all bytes that the handler wrote have left this process.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.is_corked() && self.link().is_none_or(|link| link.is_flushed())
    }

    /// Ends the connection for `reason`, unless it has another one, and returns the reason. Drops the
    /// link and the task's waker, which would otherwise live as long as a `Peer` of the connection.
    pub(crate) fn finish(&self, reason: Reason) -> Reason {
        let _ = self.end(Ending {
            reason,
            reset: false,
        });
        self.drop_link();
        if let Some(cold) = self.cold.get() {
            drop(cold.deadlines.take());
            drop(cold.task.take());
        }
        // A task that still reads is woken, and its read fails.
        self.waiting().wake();
        self.ending().map_or(reason, |ending| ending.reason)
    }

    /// Sets a link that owns the halves. If the connection has ended, the link is dropped at once,
    /// since nothing else would drop it.
    pub(crate) fn set_layer_link(&self, link: Arc<dyn Link>) {
        self.set_link(link);
        if self.ending().is_some() {
            self.drop_link();
        }
    }

    /// Closes and drops the link.
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

    /// Resets the socket and aborts the link. The socket is first: dropping a layer above it could
    /// close it in order.
    pub(crate) fn reset_stream(&self) {
        self.measure_lent();
        self.flags.set(Flag::Reset);
        self.reset_socket();
        if let Some(link) = self.link() {
            drop(catch_panic(|| link.abort()));
        }
    }

    /// Wakes the connection's task and the reading task, which then check the state.
    pub(crate) fn wake(&self) {
        // A task that registers after this point sees all stores before it.
        fence(Ordering::SeqCst);
        self.waiting().wake();
        if let Some(cold) = self.cold.get() {
            cold.task.wake();
        }
    }

    /// Registers the connection's task to be woken. After this call, the task sees all stores made
    /// before a wake that it has missed.
    pub(crate) fn register_task(&self, waker: &Waker) {
        if !self.waiting().reaches(waker) {
            let cold = self.cold();
            cold.task.register(waker);
            cold.asleep.store(take_asleep(waker), Ordering::Relaxed);
            fence(Ordering::SeqCst);
        }
    }

    /// Fails once the connection has ended. The halves call it before each operation.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.ending.load(Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the server has ended this connection",
            )),
        }
    }
}
