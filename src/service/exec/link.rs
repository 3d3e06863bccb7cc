//! `ExecLink`: ends the child of a connection with the connection.

use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use crate::connection::Link;
use crate::process::StartedRef;

/// The server's link to a connection that has a child.
pub(super) struct ExecLink {
    /// The link of the connection before, such as that of a layer.
    beneath: Option<Arc<dyn Link>>,
    child: Mutex<Child>,
    /// The server has asked the child to end.
    pub(super) asked: AtomicBool,
}

/// The child of the connection, which a task of the handler may start after the end.
enum Child {
    NotStarted,
    Started(StartedRef),
    /// The connection is over.
    Ended,
}

impl ExecLink {
    pub(super) fn new(beneath: Option<Arc<dyn Link>>) -> Self {
        Self {
            beneath,
            child: Mutex::new(Child::NotStarted),
            asked: AtomicBool::new(false),
        }
    }

    /// Sets the child, once it runs. Kills it if the connection is over.
    pub(super) fn set_child(&self, started: StartedRef) {
        let mut child = self.child();
        match *child {
            Child::Ended => started.kill(),
            _ => *child = Child::Started(started),
        }
    }

    /// Kills the child, also one that is set later.
    fn end_child(&self) {
        if let Child::Started(started) = mem::replace(&mut *self.child(), Child::Ended) {
            started.kill();
        }
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link for ExecLink {
    fn poll_linger(&self, cx: &mut Context<'_>, ended: bool) -> Poll<io::Result<()>> {
        let beneath = self.beneath.as_ref();
        beneath.map_or(Poll::Ready(Ok(())), |link| link.poll_linger(cx, ended))
    }

    fn is_flushed(&self) -> bool {
        self.beneath.as_ref().is_none_or(|link| link.is_flushed())
    }

    fn unsent(&self) -> Option<usize> {
        self.beneath.as_ref().and_then(|link| link.unsent())
    }

    fn abort(&self) {
        self.end_child();
        if let Some(link) = &self.beneath {
            link.abort();
        }
    }

    fn ask_to_end(&self) -> bool {
        // Set first: the child may end at once.
        self.asked.store(true, Ordering::Release);
        matches!(&*self.child(), Child::Started(started) if started.terminate())
    }

    /// The child has ended, unless a task of the handler has it.
    fn close(&self) {
        self.end_child();
        if let Some(link) = &self.beneath {
            link.close();
        }
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.beneath.as_ref().and_then(|link| link.as_fd())
    }
}
