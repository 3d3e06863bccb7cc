//! Runs programs as process 1 of a namespace of their own, and lists processes.

use std::ffi::OsStr;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A process as in proc(5): its id, the name of its program, its state, its parent.
pub(crate) type Process = (u32, String, char, u32);

/// A command that runs a program as process 1 of a new namespace. None if that is not allowed.
pub(crate) fn as_process_1(program: impl AsRef<OsStr>) -> Option<Command> {
    for more in [&[][..], &["--user", "--map-root-user"]] {
        let unshare = || {
            let mut unshare = Command::new("unshare");
            unshare.args(more);
            unshare.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
            unshare
        };
        let tried = unshare().arg("true").stderr(Stdio::null()).status();
        if tried.is_ok_and(|status| status.success()) {
            let mut unshare = unshare();
            unshare.arg(program);
            return Some(unshare);
        }
    }
    None
}

/// All processes of the system.
pub(crate) fn processes() -> Vec<Process> {
    let all = fs::read_dir("/proc").expect("Linux");
    all.filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
        let mut words = rest.split(' ');
        let state = words.next()?.chars().next()?;
        Some((pid, name.to_owned(), state, words.next()?.parse().ok()?))
    })
    .collect()
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < TIMEOUT, "never: {what}");
        thread::yield_now();
    }
}
