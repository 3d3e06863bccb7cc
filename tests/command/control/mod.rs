//! The control socket of a running server.

mod clients;
mod orders;
mod requests;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Halves, TIMEOUT, serve};
use crate::support::place::dir;

/// A server with a control socket.
pub(crate) struct Controlled {
    pub(crate) server: Halves,
    pub(crate) path: PathBuf,
    _folder: TempDir,
}

/// A client of a control socket.
struct Control(BufReader<UnixStream>);

/// Starts `serve` with these arguments and a control socket.
pub(crate) fn controlled(args: &[&str]) -> Controlled {
    let folder = dir();
    let path = folder.path().join("control");
    let text = path.to_str().expect("UTF-8");
    let mut server = serve(&[args, &["--control", text]].concat());
    server.wait_for("listening local=unix:");
    Controlled {
        server,
        path,
        _folder: folder,
    }
}

impl Controlled {
    fn connect(&self) -> Control {
        Control::connect(&self.path)
    }
}

impl Control {
    fn connect(path: &Path) -> Self {
        Self::within(UnixStream::connect(path).expect("it accepts"))
    }

    fn within(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a socket");
        Self(BufReader::new(stream))
    }

    fn send(&mut self, request: &str) {
        let stream = self.0.get_mut();
        stream.write_all(request.as_bytes()).expect("it reads");
    }

    /// Reads an answer up to its empty line.
    fn answer(&mut self) -> Vec<Value> {
        let mut objects = Vec::new();
        loop {
            let mut line = String::new();
            let bytes = self.0.read_line(&mut line).expect("it answers");
            assert!(bytes > 0, "it has ended after {objects:?}");
            if line == "\n" {
                return objects;
            }
            objects.push(serde_json::from_str(&line).expect("JSON"));
        }
    }

    /// Sends a request of one line, and returns its answer.
    fn ask(&mut self, request: &str) -> Vec<Value> {
        self.send(&format!("{request}\n"));
        self.answer()
    }

    /// The same, for an answer of one object.
    fn ask_one(&mut self, request: &str) -> Value {
        let mut answer = self.ask(request);
        assert_eq!(answer.len(), 1, "{request}: {answer:?}");
        answer.remove(0)
    }

    /// Asks again until the answer is right.
    fn ask_until(&mut self, request: &str, is_right: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut answer = Vec::new();
        for _ in 0..10_000 {
            answer = self.ask(request);
            if is_right(&answer) {
                return answer;
            }
        }
        panic!("{request}: {answer:?}");
    }
}
