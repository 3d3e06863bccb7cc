//! How the exit of a child is waited for.

use std::io;
use std::pin::Pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::io::Errno;

use super::child::{Process, wait_blocking};
use crate::blocking::{Call, unblock};
use crate::reactor::Watched;

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
    Thread(Call<ExitStatus>),
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
    Some(Watched::new(fd))
}

#[cfg(not(target_os = "linux"))]
fn watch(_: &Process) -> Option<Watched> {
    None
}

fn on_thread(process: &Process) -> Way {
    let pid = process.pid();
    Way::Thread(unblock(move || wait_blocking(pid)))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_lite::future;

    use super::*;
    use crate::process::Command;

    fn sleeping() -> Arc<Process> {
        let child = Command::new("sleep").args(["1000"]).spawn();
        child.expect("it runs").process().clone()
    }

    /// As where a kernel knows no descriptors of processes.
    #[test]
    fn a_thread_waits_as_well() {
        let process = sleeping();
        let [mut first, mut second] = [process.clone(), process.clone()].map(|process| Exit {
            way: on_thread(&process),
            process,
        });
        smol::block_on(async {
            let early = future::poll_once(poll_fn(|cx| first.poll(cx))).await;
            assert!(early.is_none(), "it still runs");
            process.kill();
            for exit in [&mut first, &mut second] {
                let status = poll_fn(|cx| exit.poll(cx)).await.expect("ours");
                assert!(!status.success());
            }
        });
    }

    /// The thread that waits holds nobody alive.
    #[test]
    fn a_child_that_only_a_thread_waits_for_is_ended() {
        let process = sleeping();
        let pid = process.pid();
        let Way::Thread(task) = on_thread(&process) else {
            panic!("a thread waits");
        };
        drop(process);
        // How it ended, or that it was forgotten first.
        let ended = smol::block_on(task);
        assert!(ended.is_ok_and(|status| !status.success()) || wait_blocking(pid).is_err());
    }
}
