//! `halves replay`: verdicts, addresses, and the end by a signal.

mod addresses;
mod recorded;
mod signals;
mod terminal;
mod verdicts;

use std::fs;
use std::process::{Command, Output};

use halves::testing::Record;
use tempfile::TempDir;

use crate::common::{halves, run};
use crate::support::place;

/// A line, its answer in capital letters, and the ends. The first event is in line 2.
const HELLO: &str = "0 in \"hello\\n\"\n0 out \"HELLO\\n\"\n0 in end\n0 out end\n0 closed\n";

/// A record in a file.
struct File {
    _dir: TempDir,
    path: String,
}

impl File {
    fn of(text: &str) -> Self {
        let dir = place::dir();
        let path = dir.path().join("a.record");
        fs::write(&path, text).expect("a file");
        Self {
            path: path.display().to_string(),
            _dir: dir,
        }
    }

    /// A record without addresses.
    fn new(events: &str) -> Self {
        Self::of(&format!("halves-record 1\n{events}"))
    }

    /// A record of this server.
    fn at(server: &str, events: &str) -> Self {
        let mut record: Record = format!("halves-record 1\n{events}")
            .parse()
            .expect("a record");
        server.clone_into(&mut record.server);
        Self::of(&record.to_string())
    }

    /// `halves replay` of this file.
    fn command(&self, args: &[&str]) -> Command {
        halves(&[&["replay", &self.path], args].concat())
    }

    /// Runs it to its end.
    fn replay(&self, args: &[&str]) -> Output {
        run(&[&["replay", &self.path], args].concat())
    }
}

/// Asserts the verdict that the answer is the same, and returns the line.
fn same(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*errors), (Some(0), ""));
    let line = String::from_utf8(output.stdout.clone()).expect("text");
    assert!(
        line.starts_with("same: ") && line.ends_with("s\n"),
        "{line}"
    );
    line
}
