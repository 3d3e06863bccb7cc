//! `Child`: a child process that runs or has exited.

use std::future::poll_fn;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;

use super::child_process::ChildProcess;
use super::exit::Exit;
use crate::descriptor::FdReader;

/// A child process. When it and the connection to it are dropped, the process is killed if it still
/// runs, and reaped.
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
    process: Arc<ChildProcess>,
    /// Its standard error, if the [`std::process::Command`] made that a pipe.
    pub stderr: Option<FdReader>,
}

impl Child {
    pub(super) fn new(process: Arc<ChildProcess>, stderr: Option<FdReader>) -> Self {
        Self { process, stderr }
    }

    pub(super) fn process(&self) -> &Arc<ChildProcess> {
        &self.process
    }

    /// Returns the process id, which is also the id of its process group. It is not reused while
    /// this value exists and [`wait`](Self::wait) returns no error.
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
        self.process.pid().as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits until the process has exited and returns its exit status. May be called again, and by
    /// several tasks. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The error of the system if other code of this process has waited for it already, or
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

    /// Kills the process and all processes of its group, including those that outlive it. Does
    /// nothing if the system has reaped it (see [`wait`](Self::wait)), as the ids may be reused.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::process::ExitStatusExt;
    ///
    /// let child = halves::process::Command::new("sleep").args(["1000"]).spawn()?;
    /// child.kill();
    /// assert_eq!(smol::block_on(child.wait())?.signal(), Some(9));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn kill(&self) {
        self.process.kill();
    }
}
