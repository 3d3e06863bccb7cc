//! Child processes as halves: their streams, and their end.

mod ending;
pub(crate) mod joined;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use halves::process::Command;

/// Far longer than any wait in a test.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A shell that runs a script, with arguments from `$0` on.
fn sh(script: &str, args: &[&str]) -> Command {
    Command::new("sh").args(["-c", script]).args(args)
}

/// Waits until `is_so` returns true. Panics with `what` if it never does.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < TIMEOUT, "never: {what}");
        thread::yield_now();
    }
}

/// True if nothing is left of a process, not even its exit status.
fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// True if the process has exited. Its parent may still have to wait for it.
fn has_exited(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}
