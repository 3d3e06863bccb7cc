//! `--record`: the traffic of each connection in a file.

mod content;
mod failing;
mod layered;
mod processes;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Instant;

use halves::testing::{Record, Recorded};
use tempfile::TempDir;

use crate::common::{Halves, TIMEOUT, halves, with_port};
use crate::support::place;

/// A server with records, and their directory.
struct Recording {
    server: Halves,
    dir: TempDir,
}

impl Recording {
    /// Starts `serve` with these arguments.
    fn serve(args: &[&str]) -> Self {
        Self::start(|dir| {
            let args = with_port(&[args, &["--record", dir]].concat());
            Halves::start(&mut halves(&args))
        })
    }

    /// Starts a server with records in this directory.
    fn start(start: impl FnOnce(&str) -> Halves) -> Self {
        let dir = place::dir();
        let mut server = start(&dir.path().display().to_string());
        server.wait_until_listening(1);
        Self { server, dir }
    }

    /// Ends the server, and returns its records.
    fn end(&mut self) -> Vec<Record> {
        self.server.end();
        records(self.dir.path())
    }

    /// The same, for a server with one connection.
    fn end_with_one(mut self) -> Record {
        let mut records = self.end();
        assert_eq!(records.len(), 1, "{:#?}", self.server.log);
        records.remove(0)
    }
}

/// The names of the files in a directory, in the order of their times.
fn names(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).expect("a directory");
    let name = |file: fs::DirEntry| file.file_name().into_string().expect("text");
    let mut names: Vec<_> = files.map(|file| name(file.expect("a file"))).collect();
    names.sort();
    names
}

/// The records of a directory, in the order of their times.
fn records(dir: &Path) -> Vec<Record> {
    let read = |name| Record::read(dir.join(name)).expect("a record");
    names(dir).into_iter().map(read).collect()
}

/// Waits until the records that are written so far are as expected.
fn wait_until(dir: &Path, is_expected: impl Fn(&[Record]) -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_expected(&read_now(dir)) {
        assert!(Instant::now() < deadline, "the records are not written");
        thread::yield_now();
    }
}

/// The records of a directory. Files that are not written yet are left out.
fn read_now(dir: &Path) -> Vec<Record> {
    let read = |name| Record::read(dir.join(name)).ok();
    names(dir).into_iter().filter_map(read).collect()
}

/// The last event of a record.
fn last(record: &Record) -> &Recorded {
    &record.events.last().expect("an event").what
}
