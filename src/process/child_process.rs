//! `ChildProcess`: kills and reaps a child when its last owner drops it.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::orphans;
use super::waitid::exit_status;

/// A child of this process that is not reaped yet. Its pid is not reused, unless the system reaps
/// children by itself or other code of this process waits for all children.
#[derive(Debug)]
pub(super) struct ChildProcess(Pid);

impl ChildProcess {
    pub(super) fn new(pid: Pid) -> Arc<Self> {
        Arc::new(Self(pid))
    }

    pub(super) fn pid(&self) -> Pid {
        self.0
    }

    /// Returns the exit status, or None while it runs. May be called again.
    pub(super) fn status(&self) -> io::Result<Option<ExitStatus>> {
        exit_status(self.0)
    }

    /// Sends a signal to the group of the process. Does nothing if the process is reaped.
    pub(super) fn signal_group(&self, signal: Signal) {
        if self.status().is_ok() {
            // Fails if no process is left.
            let _ = kill_process_group(self.0, signal);
        }
    }

    /// Kills the process and its group. Does nothing if it is reaped, as its pid may be reused.
    pub(super) fn kill(&self) {
        if self.status().is_err() {
            return;
        }
        // Fails if no process is left. The child itself may have left its group.
        let _ = kill_process_group(self.0, Signal::KILL);
        let _ = kill_process(self.0, Signal::KILL);
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if matches!(self.status(), Ok(None)) {
            self.kill();
        }
        orphans::reap(self.0);
    }
}
