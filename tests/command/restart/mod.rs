//! Restart without a gap: a new process takes over the listeners of the one that gets USR2.

mod controlled;
mod failing;
mod load;
mod managed;
mod passing;
mod relays;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::common::{Halves, halves};
use crate::support::place;

/// A server and the processes that follow it. They write to one log.
struct Generations {
    /// The first process, and the log.
    first: Halves,
    /// The process that serves.
    pid: u32,
}

impl Generations {
    /// Starts a server, and waits until it has so many listeners.
    fn start(command: &mut Command, listeners: usize) -> Self {
        let mut first = Halves::start(command);
        first.wait_until_listening(listeners);
        let pid = first.child().id();
        Self { first, pid }
    }

    fn signal(&self, signal: Signal) {
        signal_to(self.pid, signal);
    }

    /// Restarts, and waits until the new process accepts. Returns its id.
    fn restart(&mut self) -> u32 {
        self.signal(Signal::USR2);
        let line = self.first.wait_for("restarted pid=");
        self.pid = pid_in(&line);
        self.pid
    }

    /// Waits until the processes have so many listeners in all. Returns their lines.
    fn wait_for_listeners(&mut self, number: usize) -> Vec<String> {
        while self.first.count("listening ") < number {
            self.first.wait_for("listening ");
        }
        let lines = self.first.log.iter();
        let lines = lines.filter(|line| line.starts_with("listening "));
        lines.cloned().collect()
    }

    /// Ends the process that serves, and waits until all have ended. The first has exited with 0.
    fn end(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.first.code(), Some(0), "{:#?}", self.first.log);
    }
}

impl Drop for Generations {
    fn drop(&mut self) {
        if let Some(pid) = pid(self.pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(number.cast_signed())
}

fn signal_to(number: u32, signal: Signal) {
    kill_process(pid(number).expect("a pid"), signal).expect("it runs");
}

/// The process id at the end of a line.
fn pid_in(line: &str) -> u32 {
    let (_, pid) = line.split_once("pid=").expect("a pid");
    pid.parse().expect("a number")
}

/// A link to the command, which a test can replace.
struct Program {
    dir: TempDir,
    path: PathBuf,
}

impl Program {
    fn new() -> Self {
        let dir = place::dir();
        let path = dir.path().join("halves");
        symlink(env!("CARGO_BIN_EXE_halves"), &path).expect("a link");
        Self { dir, path }
    }

    /// The command by its link.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(args);
        for (name, value) in halves(&[]).get_envs() {
            assert!(value.is_none(), "the command only removes variables");
            command.env_remove(name);
        }
        command
    }

    /// Replaces the link by a script.
    fn replace(&self, script: &str) {
        let other = self.dir.path().join("new");
        fs::write(&other, format!("#!/bin/sh\n{script}\n")).expect("a file");
        fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).expect("its mode");
        fs::rename(&other, &self.path).expect("replaced");
    }

    /// Makes the link again.
    fn repair(&self) {
        fs::remove_file(&self.path).expect("it is there");
        symlink(env!("CARGO_BIN_EXE_halves"), &self.path).expect("a link");
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }
}

/// The name of a path, as text.
fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}
