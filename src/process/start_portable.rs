//! Starts a program with the standard library.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use rustix::process::Pid;

use super::before_exec;
use super::program::{New, Program};

/// Nothing is shared with the process.
#[derive(Debug)]
pub(super) struct StartMemory;

impl StartMemory {
    /// Returns None: a start that fails returns its error.
    #[allow(clippy::unused_self, reason = "used on Linux")]
    pub(super) fn error(&self) -> Option<io::Error> {
        None
    }
}

/// Starts a program as the leader of a new process group. Waits until it runs.
pub(super) fn start(
    program: &Arc<Program>,
    variables: Vec<CString>,
    streams: [BorrowedFd<'_>; 2],
) -> io::Result<New> {
    let text = |string: &CStr| OsStr::from_bytes(string.to_bytes()).to_owned();
    let mut command = Command::new(text(&program.path));
    if let [name, args @ ..] = &program.args[..] {
        command
            .arg0(text(name))
            .args(args.iter().map(|arg| text(arg)));
    }
    command.env_clear();
    for variable in program.variables_with(&variables) {
        let bytes = variable.to_bytes();
        if let Some(length) = bytes.iter().position(|&byte| byte == b'=') {
            let (name, value) = (&bytes[..length], &bytes[length + 1..]);
            command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
    }
    let [stdin, stdout] = streams.map(|fd| fd.try_clone_to_owned());
    command.stdin(stdin?).stdout(stdout?).process_group(0);
    if let Some(max_files) = program.max_files {
        before_exec::limit_open_files(&mut command, max_files);
    }
    let child = command.spawn()?;
    Ok(New {
        pid: Pid::from_child(&child),
        pidfd: None,
        memory: StartMemory,
    })
}
