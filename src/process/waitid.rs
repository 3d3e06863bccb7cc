//! `waitid`(2) for one child, which can be waited for again.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};

/// Returns the exit status of a child, or None while it runs.
pub(super) fn exit_status(pid: Pid) -> io::Result<Option<ExitStatus>> {
    wait(pid, WaitIdOptions::NOHANG)
}

/// Blocks until a child has exited.
pub(super) fn wait_blocking(pid: Pid) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = wait(pid, WaitIdOptions::empty())? {
            return Ok(status);
        }
    }
}

fn wait(pid: Pid, options: WaitIdOptions) -> io::Result<Option<ExitStatus>> {
    let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let status = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), options))?;
    Ok(status.map(|status| ExitStatus::from_raw(raw(&status))))
}

/// Encodes a status as wait(2) does: the exit code in the second byte, a signal in the lowest bits.
fn raw(status: &WaitIdStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => (code & 0xff) << 8,
        (None, Some(signal)) if status.dumped() => signal | 0x80,
        (None, signal) => signal.unwrap_or_default(),
    }
}
