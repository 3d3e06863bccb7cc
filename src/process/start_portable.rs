//! Starts a program with the standard library.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::Pid;

use super::before_exec;
use super::program::Program;

/// The standard library resets what is needed.
#[derive(Clone, Debug)]
pub(super) struct Dispositions;

impl Dispositions {
    pub(super) fn current() -> Self {
        Self
    }
}

/// Starts a program as the leader of a new process group. There is no pidfd.
pub(super) fn start(
    program: &Program,
    variables: &[&CStr],
    streams: [BorrowedFd<'_>; 2],
) -> io::Result<(Option<OwnedFd>, Pid)> {
    let text = |string: &CStr| OsStr::from_bytes(string.to_bytes()).to_owned();
    let mut command = Command::new(text(&program.path));
    if let [name, args @ ..] = &program.args[..] {
        command
            .arg0(text(name))
            .args(args.iter().map(|arg| text(arg)));
    }
    command.env_clear();
    for variable in variables {
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
    Ok((None, Pid::from_child(&child)))
}
