//! `ChildLink`: ends a child with its connection.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use super::child_process::ChildProcess;
use super::exit::Exit;
use crate::connection::{DiscardBudget, Link};
use crate::reactor::WatchedFd;

/// The link of a connection to a child.
pub(super) struct ChildLink {
    process: Arc<ChildProcess>,
    /// The child's standard input.
    input: Arc<dyn Link>,
    /// The child's standard output, until it is discarded.
    output: Mutex<Option<WatchedFd>>,
    discard: DiscardBudget,
    exit: Mutex<Exit>,
}

impl ChildLink {
    pub(super) fn new(
        process: Arc<ChildProcess>,
        input: Arc<dyn Link>,
        output: Option<WatchedFd>,
    ) -> Self {
        Self {
            exit: Mutex::new(Exit::new(process.clone())),
            process,
            input,
            output: Mutex::new(output),
            discard: DiscardBudget::default(),
        }
    }
}

/// Makes further writes of the child fail. Unread bytes in a socket are read first: closing it with
/// them would also make reads of the child fail before it has read the end of its input.
fn shut_down(output: &WatchedFd) {
    let mut buf = [0; 4096];
    if rustix::net::shutdown(output, rustix::net::Shutdown::Read).is_ok() {
        // No bytes are added after the shutdown.
        while rustix::io::retry_on_intr(|| rustix::io::read(output, &mut buf)).is_ok_and(|n| n > 0)
        {
        }
    }
}

impl Link for ChildLink {
    /// Closes the child's input, discards its output, and waits until it has exited.
    fn poll_linger(&self, cx: &mut Context<'_>, ended: bool) -> Poll<io::Result<()>> {
        ready!(self.input.poll_linger(cx, ended))?;
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        // A task of the handler that still has the reader gets the output.
        if let Some(fd) = output.as_ref().filter(|fd| !ended && !fd.is_shared()) {
            ready!(self.discard.poll(cx, |cx, buf| {
                fd.poll_read(cx, buf.len(), |fd| rustix::io::read(fd, &mut *buf))
            }));
        }
        if let Some(fd) = output.take().filter(|fd| !fd.is_shared()) {
            shut_down(&fd);
        }
        drop(output);
        let mut exit = self.exit.lock().unwrap_or_else(PoisonError::into_inner);
        // The exit status is available from the `Child`.
        exit.poll(cx).map(|_| Ok(()))
    }

    fn abort(&self) {
        self.process.kill();
        self.input.abort();
    }

    fn close(&self) {
        // Kills the process even if a `Child` still exists.
        if matches!(self.process.status(), Ok(None)) {
            self.process.kill();
        }
    }
}
