//! The server's hold on a child.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use super::child::Process;
use super::exit::Exit;
use crate::connection::{DiscardBudget, Link};
use crate::reactor::Watched;

/// Ends a child with its connection.
pub(super) struct ChildLink {
    process: Arc<Process>,
    /// What the child reads.
    input: Arc<dyn Link>,
    /// What it writes, until that is of no interest any more.
    output: Mutex<Option<Watched>>,
    discard: DiscardBudget,
    exit: Mutex<Exit>,
}

impl ChildLink {
    pub(super) fn new(
        process: Arc<Process>,
        input: Arc<dyn Link>,
        output: Option<Watched>,
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

/// One that still writes hears that nobody reads. Where this is a socket, what lies unread in it when
/// it closes would be an error of the child's reads, too, whose end they have not come to yet.
fn stop(output: &Watched) {
    let mut buf = [0; 4096];
    if rustix::net::shutdown(output, rustix::net::Shutdown::Read).is_ok() {
        // Nothing is added any more.
        while rustix::io::retry_on_intr(|| rustix::io::read(output, &mut buf)).is_ok_and(|n| n > 0)
        {
        }
    }
}

impl Link for ChildLink {
    /// Closes the child's input, discards what it still says, and waits until it has exited.
    fn poll_linger(&self, cx: &mut Context<'_>, ended: bool) -> Poll<io::Result<()>> {
        ready!(self.input.poll_linger(cx, ended))?;
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        // Where a task of the handler's still reads, what comes is that task's.
        if let Some(fd) = output.as_ref().filter(|fd| !ended && !fd.is_shared()) {
            ready!(self.discard.poll(cx, |cx, buf| {
                fd.poll_read(cx, buf.len(), |fd| rustix::io::read(fd, &mut *buf))
            }));
        }
        if let Some(fd) = output.take().filter(|fd| !fd.is_shared()) {
            stop(&fd);
        }
        drop(output);
        let mut exit = self.exit.lock().unwrap_or_else(PoisonError::into_inner);
        // How it exited is asked of the `Child`.
        exit.poll(cx).map(|_| Ok(()))
    }

    fn abort(&self) {
        self.process.kill();
        self.input.abort();
    }

    fn close(&self) {
        // Patience is over, also where somebody still holds the `Child`.
        if matches!(self.process.status(), Ok(None)) {
            self.process.kill();
        }
    }
}
