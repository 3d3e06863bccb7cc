//! How the exit of a child is waited for.

use std::io;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::io::Errno;
use smol::Task;

use super::child::{Process, wait_blocking};
use crate::descriptor::Watched;

/// One who waits for the exit of a child.
pub(super) struct Exit {
    process: Arc<Process>,
    way: Way,
}

enum Way {
    /// It was not needed yet.
    None,
    /// By a descriptor of the process, which is readable when it has exited.
    Watched(Watched),
    /// By a thread that does nothing else. It does not hold the process, which is ended when
    /// nobody else does.
    Thread(Task<io::Result<ExitStatus>>),
}

impl Exit {
    pub(super) fn new(process: Arc<Process>) -> Self {
        Self {
            process,
            way: Way::None,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        if let Some(status) = self.process.status()? {
            return Poll::Ready(Ok(status));
        }
        if let Way::None = self.way {
            self.way = watch(&self.process).map_or_else(|| on_thread(&self.process), Way::Watched);
        }
        match &mut self.way {
            Way::Watched(fd) => fd.poll_event(cx, |_| match self.process.status() {
                Ok(Some(status)) => Ok(Ok(status)),
                Ok(None) => Err(Errno::AGAIN),
                Err(error) => Ok(Err(error)),
            })?,
            Way::Thread(task) => Pin::new(task).poll(cx),
            Way::None => Poll::Pending,
        }
    }
}

#[cfg(target_os = "linux")]
fn watch(process: &Process) -> Option<Watched> {
    use rustix::process::{PidfdFlags, pidfd_open};
    let fd = pidfd_open(process.pid(), PidfdFlags::empty()).ok()?;
    Watched::new(fd, false).ok()
}

#[cfg(not(target_os = "linux"))]
fn watch(_: &Process) -> Option<Watched> {
    None
}

fn on_thread(process: &Process) -> Way {
    let pid = process.pid();
    Way::Thread(smol::unblock(move || wait_blocking(pid)))
}
