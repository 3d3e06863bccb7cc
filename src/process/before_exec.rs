//! What is done in the child between fork and exec, as nothing else can do it.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, getrlimit, setrlimit};

/// Sets the child's soft limit of open files, at most to the hard one. Ours stays as it is: to
/// lower it for a moment would have other threads run out of descriptors, and to change the child's
/// once it runs would be too late.
pub(super) fn limit_open_files(command: &mut Command, most: u64) {
    let limit = move || {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = Some(limit.maximum.map_or(most, |hard| hard.min(most)));
        Ok(setrlimit(Resource::Nofile, limit)?)
    };
    // SAFETY: after a fork of one thread of several, only what is safe in a signal handler may be
    // called. This makes two system calls, on values of its own: no allocation, no lock.
    unsafe { command.pre_exec(limit) };
}
