//! Code that runs in the child between fork and exec.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Sets the soft limit of open files in the child, at most to the hard limit.
///
/// The parent cannot do this: lowering its own limit for a moment would make other threads run out
/// of descriptors, and changing the limit of a running child would be too late.
pub(super) fn limit_open_files(command: &mut Command, max_files: u64) {
    let limit = move || {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = Some(limit.maximum.map_or(max_files, |hard| hard.min(max_files)));
        Ok(setrlimit(Resource::Nofile, limit)?)
    };
    // SAFETY: after the fork of a process with several threads, only async-signal-safe functions
    // may be called. This makes two system calls on local values, without allocation or lock.
    unsafe { command.pre_exec(limit) };
}
