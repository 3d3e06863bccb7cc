//! A child process that runs, or has exited.

use std::future::poll_fn;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, ExitStatus};
use std::sync::Arc;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};

use super::exit::Exit;
use super::orphans;
use crate::descriptor::FdReader;

/// A child process. Dropped, with the connection to it, it is killed if it still runs, and nothing
/// is left of it.
///
/// # Examples
///
/// ```
/// use halves::process::Command;
///
/// let child = Command::new("sleep").args(["1000"]).spawn()?;
/// child.kill();
/// assert!(!smol::block_on(child.wait())?.success());
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Child {
    process: Arc<Process>,
    /// What it writes to its standard error, if the [`std::process::Command`] made that a pipe.
    pub stderr: Option<FdReader>,
}

impl Child {
    pub(super) fn new(process: Arc<Process>, stderr: Option<FdReader>) -> Self {
        Self { process, stderr }
    }

    pub(super) fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// The number of the process, which is also that of its group. It means nobody else as long as
    /// this is held, and [`wait`](Self::wait) is no error.
    ///
    /// # Examples
    ///
    /// ```
    /// let child = halves::process::Command::new("true").spawn()?;
    /// assert_ne!(child.id(), std::process::id());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.0.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits until it has exited, and says how. It may be asked again, by several. Cancel-safe.
    ///
    /// # Errors
    ///
    /// What the system says where somebody else in this process has waited for it already, or
    /// `SIGCHLD` is ignored.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::process::Command;
    ///
    /// let child = Command::new("sh").args(["-c", "exit 7"]).spawn()?;
    /// assert_eq!(smol::block_on(child.wait())?.code(), Some(7));
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn wait(&self) -> io::Result<ExitStatus> {
        let mut exit = Exit::new(self.process.clone());
        poll_fn(|cx| exit.poll(cx)).await
    }

    /// Kills it, and all processes of its group, also those that it left behind there. Where the
    /// system has forgotten it (see [`wait`](Self::wait)), nobody is killed: the number of both may
    /// be another's by then.
    ///
    /// # Examples
    ///
    /// See [`Child`].
    pub fn kill(&self) {
        self.process.kill();
    }
}

/// A process that this one has started, and has not forgotten: its number is its own, unless the
/// system forgets by itself, or others ask for all children.
#[derive(Debug)]
pub(super) struct Process(Pid);

impl Process {
    pub(super) fn new(child: &process::Child) -> Arc<Self> {
        Arc::new(Self(Pid::from_child(child)))
    }

    pub(super) fn pid(&self) -> Pid {
        self.0
    }

    /// How it exited; none while it runs. It can be asked again.
    pub(super) fn status(&self) -> io::Result<Option<ExitStatus>> {
        ask(self.0, WaitIdOptions::NOHANG)
    }

    /// Does nothing where the system has forgotten it, and its number may be another's.
    pub(super) fn kill(&self) {
        if self.status().is_err() {
            return;
        }
        // Where there is nobody left, there is nothing to do. It may have left its group.
        let _ = kill_process_group(self.0, Signal::KILL);
        let _ = kill_process(self.0, Signal::KILL);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.status(), Ok(None)) {
            self.kill();
        }
        orphans::forget(self.0);
    }
}

/// Waits until a child has exited, and leaves it to be asked again.
pub(super) fn wait_blocking(pid: Pid) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = ask(pid, WaitIdOptions::empty())? {
            return Ok(status);
        }
    }
}

fn ask(pid: Pid, options: WaitIdOptions) -> io::Result<Option<ExitStatus>> {
    let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let status = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), options))?;
    Ok(status.map(|status| ExitStatus::from_raw(raw(&status))))
}

/// In the form of wait(2): the exit code is in the second byte, a signal in the lowest bits.
fn raw(status: &WaitIdStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => (code & 0xff) << 8,
        (None, Some(signal)) if status.dumped() => signal | 0x80,
        (None, signal) => signal.unwrap_or_default(),
    }
}
