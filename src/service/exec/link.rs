//! `ExecLink`: ends the child of a connection with the connection.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use crate::connection::Link;
use crate::process::StartedRef;

/// The server's link to a connection that has a child.
pub(super) struct ExecLink {
    /// The link of the connection before, such as that of a layer.
    beneath: Option<Arc<dyn Link>>,
    child: OnceLock<StartedRef>,
    /// The server has asked the child to end.
    pub(super) asked: AtomicBool,
}

impl ExecLink {
    pub(super) fn new(beneath: Option<Arc<dyn Link>>) -> Self {
        Self {
            beneath,
            child: OnceLock::new(),
            asked: AtomicBool::new(false),
        }
    }

    /// Sets the child, once it runs.
    pub(super) fn set_child(&self, child: StartedRef) {
        let _ = self.child.set(child);
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
        if let Some(child) = self.child.get() {
            child.kill();
        }
        if let Some(link) = &self.beneath {
            link.abort();
        }
    }

    fn ask_to_end(&self) -> bool {
        // Set first: the child may end at once.
        self.asked.store(true, Ordering::Release);
        self.child.get().is_some_and(StartedRef::terminate)
    }

    fn close(&self) {
        if let Some(link) = &self.beneath {
            link.close();
        }
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.beneath.as_ref().and_then(|link| link.as_fd())
    }
}
