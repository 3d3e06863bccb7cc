//! `Exit`: waits for the exit of a child.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::io::Errno;

use super::child_process::ChildProcess;
use super::waitid::wait_blocking;
use crate::blocking::{Call, unblock};
use crate::reactor::WatchedFd;

/// Waits for the exit of a child, for one task.
pub(super) struct Exit {
    process: Arc<ChildProcess>,
    method: WaitMethod,
}

enum WaitMethod {
    /// Not chosen yet.
    None,
    /// A pidfd, which is readable once the process has exited.
    Watched(WatchedFd),
    /// A thread that waits. It holds no reference to the child, so the child is still killed on
    /// drop.
    Thread(Call<ExitStatus>),
}

impl Exit {
    pub(super) fn new(process: Arc<ChildProcess>) -> Self {
        Self {
            process,
            method: WaitMethod::None,
        }
    }

    /// Waits with this pidfd of the process, if there is one.
    pub(super) fn with_pidfd(process: Arc<ChildProcess>, pidfd: Option<OwnedFd>) -> Self {
        let watched = pidfd.map(|fd| WaitMethod::Watched(WatchedFd::new(fd)));
        Self {
            process,
            method: watched.unwrap_or(WaitMethod::None),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        if let WaitMethod::None = self.method {
            if let Some(status) = self.process.status()? {
                return Poll::Ready(Ok(status));
            }
            self.method =
                watch(&self.process).map_or_else(|| on_thread(&self.process), WaitMethod::Watched);
        }
        match &mut self.method {
            WaitMethod::Watched(fd) => fd.poll_event(cx, |_| match self.process.status() {
                Ok(Some(status)) => Ok(Ok(status)),
                Ok(None) => Err(Errno::AGAIN),
                Err(error) => Ok(Err(error)),
            })?,
            WaitMethod::Thread(task) => Pin::new(task).poll(cx),
            WaitMethod::None => Poll::Pending,
        }
    }
}

#[cfg(target_os = "linux")]
fn watch(process: &ChildProcess) -> Option<WatchedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};
    let fd = pidfd_open(process.pid(), PidfdFlags::empty()).ok()?;
    Some(WatchedFd::new(fd))
}

#[cfg(not(target_os = "linux"))]
fn watch(_: &ChildProcess) -> Option<WatchedFd> {
    None
}

fn on_thread(process: &ChildProcess) -> WaitMethod {
    let pid = process.pid();
    WaitMethod::Thread(unblock(move || wait_blocking(pid)))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_lite::future;

    use super::*;
    use crate::process::Command;

    fn sleeping() -> Arc<ChildProcess> {
        let child = Command::new("sleep").args(["1000"]).spawn();
        child.expect("it runs").process().clone()
    }

    /// For a kernel without pidfds.
    #[test]
    fn a_thread_waits_if_there_is_no_pidfd() {
        let process = sleeping();
        let [mut first, mut second] = [process.clone(), process.clone()].map(|process| Exit {
            method: on_thread(&process),
            process,
        });
        smol::block_on(async {
            let early = future::poll_once(poll_fn(|cx| first.poll(cx))).await;
            assert!(early.is_none(), "it still runs");
            process.kill();
            for exit in [&mut first, &mut second] {
                let status = poll_fn(|cx| exit.poll(cx)).await.expect("a child");
                assert!(!status.success());
            }
        });
    }

    /// The thread that waits does not keep the child alive.
    #[test]
    fn a_child_that_only_a_thread_waits_for_is_killed() {
        let process = sleeping();
        let pid = process.pid();
        let WaitMethod::Thread(task) = on_thread(&process) else {
            panic!("a thread waits");
        };
        drop(process);
        // The exit status, or an error if it was reaped first.
        let ended = smol::block_on(task);
        assert!(ended.is_ok_and(|status| !status.success()) || wait_blocking(pid).is_err());
    }
}
