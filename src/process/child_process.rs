//! `ChildProcess`: kills and reaps a child when its last owner drops it.

use std::io;
use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::orphans;
use super::start::StartMemory;
use super::waitid::exit_status;

/// A child of this process that is not reaped yet. Its pid is not reused, unless the system reaps
/// children by itself or other code of this process waits for all children.
#[derive(Debug)]
pub(super) struct ChildProcess {
    pid: Pid,
    /// Set once it has exited.
    status: OnceLock<ExitStatus>,
    /// The memory that it may use until it runs its program.
    memory: Option<StartMemory>,
}

impl ChildProcess {
    pub(super) fn new(pid: Pid, memory: Option<StartMemory>) -> Arc<Self> {
        Arc::new(Self {
            pid,
            status: OnceLock::new(),
            memory,
        })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Returns the exit status, or None while it runs. May be called again.
    pub(super) fn status(&self) -> io::Result<Option<ExitStatus>> {
        if let Some(&status) = self.status.get() {
            return Ok(Some(status));
        }
        let status = exit_status(self.pid)?;
        if let Some(status) = status {
            let _ = self.status.set(status);
        }
        Ok(status)
    }

    /// Returns the error because of which a process that has exited never ran its program.
    pub(super) fn start_error(&self) -> Option<io::Error> {
        self.memory.as_ref().and_then(StartMemory::error)
    }

    /// Sends a signal to the group of the process. Does nothing if the process is reaped.
    pub(super) fn signal_group(&self, signal: Signal) {
        if self.status().is_ok() {
            // It leads its group a moment after its start. Fails if no process is left.
            let _ =
                kill_process_group(self.pid, signal).or_else(|_| kill_process(self.pid, signal));
        }
    }

    /// Kills the process and its group. Does nothing if it is reaped, as its pid may be reused.
    pub(super) fn kill(&self) {
        if self.status().is_err() {
            return;
        }
        // Fails if no process is left. The child itself may have left its group.
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = kill_process(self.pid, Signal::KILL);
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        if matches!(self.status(), Ok(None)) {
            self.kill();
        }
        orphans::reap(self.pid, self.memory.take());
    }
}
