//! Runs other programs as clients, with pipes, and reads what they print.

use std::io::{self, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

use crate::common::{TIMEOUT, has};
use crate::support::skip::skip;

/// Chunks of output that wait. A program that prints more has to wait, too.
const MAX_CHUNKS: usize = 16;

/// A running program. It is killed when it is dropped.
pub(crate) struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: Receiver<Vec<u8>>,
    /// Everything that it has printed so far.
    printed: Vec<u8>,
    /// The end of the last text that was waited for.
    found: usize,
}

/// Returns true if there is no such program, and reports that the test is skipped.
pub(crate) fn lacks(program: &str, test: &str) -> bool {
    let lacks = !has(program);
    if lacks {
        skip(test, &format!("there is no {program}"));
    }
    lacks
}

impl Session {
    /// Starts a program. Its standard output and error are one pipe. The command is dropped, as it
    /// holds ends of that pipe.
    pub(crate) fn start(mut command: Command) -> Self {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        command
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().expect("a descriptor"))
            .stderr(writer);
        let mut child = command.spawn().expect("it starts");
        drop(command);
        let (to, output) = mpsc::sync_channel(MAX_CHUNKS);
        thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(n @ 1..) = reader.read(&mut chunk) {
                if to.send(chunk[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            input: child.stdin.take(),
            child,
            output,
            printed: Vec::new(),
            found: 0,
        }
    }

    /// Writes to its standard input.
    pub(crate) fn send(&mut self, text: &str) {
        let input = self.input.as_mut().expect("it is open");
        input.write_all(text.as_bytes()).expect("it reads");
    }

    /// Closes its standard input.
    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    /// Waits until it prints `text`, after the text of the last call.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + TIMEOUT;
        let mut searched = self.found;
        loop {
            let rest = &self.printed[searched..];
            let mut places = rest.windows(text.len());
            if let Some(at) = places.position(|place| place == text.as_bytes()) {
                self.found = searched + at + text.len();
                return;
            }
            // It may have begun.
            searched += (rest.len() + 1).saturating_sub(text.len());
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(chunk) => self.printed.extend(chunk),
                Err(end) => panic!("no '{text}' in '{}': {end}", self.text()),
            }
        }
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child");
    }

    /// Waits until it has ended, and for the rest of its output.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(chunk) => self.printed.extend(chunk),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(end) => panic!("'{}' does not end: {end}", self.text()),
            }
        }
        self.child.wait().expect("a child")
    }

    /// Everything that it has printed so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.printed).into_owned()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
