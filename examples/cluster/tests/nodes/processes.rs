//! Redis and the nodes, as processes with Unix sockets in a directory of the test.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::place;
use crate::skip::skip;

/// A Redis server without persistence, killed on drop.
pub(crate) struct Redis {
    child: Option<Child>,
    dir: TempDir,
}

/// A running node, killed on drop.
pub(crate) struct Node {
    child: Child,
    stdout: BufReader<ChildStdout>,
    socket: PathBuf,
}

impl Redis {
    /// Returns None without `redis-server`, and prints that `test` is skipped.
    pub(crate) fn start(test: &str) -> Option<Self> {
        if Command::new("redis-server").arg("-v").output().is_err() {
            skip(test, "there is no redis-server");
            return None;
        }
        let (child, dir) = (None, place::dir());
        let mut redis = Self { child, dir };
        redis.start_again();
        Some(redis)
    }

    /// Its nodes connect as soon as it listens.
    pub(crate) fn start_again(&mut self) {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no"])
            .arg("--unixsocket")
            .arg(self.dir.path().join("redis"))
            .arg("--dir")
            .arg(self.dir.path());
        let child = command.stdout(Stdio::null()).spawn();
        self.child = Some(child.expect("it starts"));
    }

    pub(crate) fn kill(&mut self) {
        end(self.child.as_mut().expect("it runs"));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.as_ref().expect("it runs"), signal);
    }

    /// Starts a node, and waits until it is linked and listens.
    pub(crate) fn node(&self, name: &str) -> Node {
        let mut node = self.node_without_link(name);
        let mut ready = String::new();
        node.stdout.read_line(&mut ready).expect("it is text");
        assert!(ready.starts_with("listening on unix:"), "{ready}");
        node
    }

    /// Starts a node, and does not wait.
    pub(crate) fn node_without_link(&self, name: &str) -> Node {
        let socket = self.dir.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_cluster"));
        command.args(["--node", name, "--listen"]).arg(&socket);
        let redis = format!("unix:{}", self.dir.path().join("redis").display());
        command.args(["--redis", &redis]).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Node {
            child,
            stdout,
            socket,
        }
    }
}

impl Node {
    pub(crate) fn address(&self) -> String {
        self.socket.display().to_string()
    }

    pub(crate) fn kill(&mut self) {
        end(&mut self.child);
    }

    /// Waits for a line of its log.
    pub(crate) fn wait_for_log(&mut self, part: &str) {
        let stderr = self.child.stderr.as_mut().expect("a pipe");
        let lines = BufReader::new(stderr).lines();
        let mut lines = lines.map(|line| line.expect("it is text"));
        assert!(lines.any(|line| line.contains(part)), "no line {part}");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(&self.child, signal);
    }

    /// Waits for its end. Returns its exit code, and the rest of its log.
    pub(crate) fn ended(&mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        let stderr = self.child.stderr.as_mut().expect("a pipe");
        stderr.read_to_string(&mut log).expect("it is text");
        (self.child.wait().expect("a child").code(), log)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.as_mut().map(end);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it runs");
}
