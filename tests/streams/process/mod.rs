//! Child processes as halves: what they are given, how they end, and that nothing is left of them.

mod ending;
mod joined;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use halves::process::Command;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A shell that runs a script, with arguments from `$0` on.
fn sh(script: &str, args: &[&str]) -> Command {
    Command::new("sh").args(["-c", script]).args(args)
}

/// Waits until it is so, and says what it waited for where it never is.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        thread::yield_now();
    }
}

/// Nothing is left of a process, not even how it exited.
fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// It does not run any more; whoever is its parent may still ask how it exited.
fn has_exited(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.contains(") Z "))
}
