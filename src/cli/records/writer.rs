//! The thread that writes the files of records.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use super::failures::Failures;
use super::file::{RecordFile, cut_line};
use super::queue::{Batch, Message, RecordQueue, What};

/// The cause in a record of which lines did not fit into the queue.
const SLOW: &str = "the files are written too slowly";

/// Writes files in a directory.
pub(super) struct Writer {
    dir: PathBuf,
    failures: Arc<Failures>,
    /// The files of the connections that have not ended. `None` after a failure.
    files: HashMap<Arc<str>, Option<RecordFile>>,
}

impl Writer {
    pub(super) fn new(dir: PathBuf, failures: Arc<Failures>) -> Self {
        let files = HashMap::new();
        Self {
            dir,
            failures,
            files,
        }
    }

    /// Starts the thread. It is never joined, because a write may be stalled for ever.
    pub(super) fn start(mut self, queue: Arc<RecordQueue>) -> io::Result<()> {
        let write = move || {
            loop {
                let batch = queue.take();
                self.write(batch);
            }
        };
        let thread = thread::Builder::new().name("halves-record".into());
        thread.spawn(write).map(drop)
    }

    fn write(&mut self, batch: Batch) {
        let mut changed = Vec::new();
        for Message { file, what } in batch.messages {
            match what {
                What::Text(lines) => self.add(&file, &lines, &mut changed),
                What::Cut(time) => {
                    self.add(&file, &cut_line(&time, SLOW), &mut changed);
                    // A file that has failed is counted already.
                    if let Some(Some(_)) = self.files.get(&file) {
                        self.failures.add(1, &SLOW);
                    }
                }
                What::End => {
                    // Closes the file now, as the next connection takes its place.
                    self.write_out(&file);
                    self.files.remove(&file);
                }
            }
        }
        for file in changed {
            self.write_out(&file);
        }
        if batch.refused > 0 {
            self.failures.add(batch.refused, &SLOW);
        }
    }

    /// Adds lines to a file, which the first ones make.
    fn add(&mut self, name: &Arc<str>, lines: &str, changed: &mut Vec<Arc<str>>) {
        if !self.files.contains_key(name) {
            let created = self.checked(name, RecordFile::create(&self.dir, name));
            self.files.insert(name.clone(), created);
        }
        if let Some(Some(file)) = self.files.get_mut(name)
            && file.add(lines)
        {
            changed.push(name.clone());
        }
    }

    /// Writes the lines that were added to a file.
    fn write_out(&mut self, name: &Arc<str>) {
        if let Some(Some(file)) = self.files.get_mut(name) {
            let written = file.write();
            if self.checked(name, written).is_none() {
                self.files.insert(name.clone(), None);
            }
        }
    }

    /// Reports a failure.
    fn checked<T>(&self, name: &str, result: io::Result<T>) -> Option<T> {
        let path = self.dir.join(name);
        let report = |error: &io::Error| {
            let error = format!("{}: {error}", path.display());
            self.failures.add(1, &error);
        };
        result.inspect_err(report).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::format::Format;
    use crate::cli::log::{Level, Log};

    #[test]
    fn a_record_is_counted_once_when_its_file_fails_and_its_lines_do_not_fit() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = Log::start(Format::default(), Level::Quiet).expect("a thread");
        let clock = halves::Clock::manual().0;
        let failures = Arc::new(Failures::new(log.lines().clone(), clock));
        // The first failure is logged at once.
        for (dir, unreported) in [(dir.path().join("gone"), 0), (dir.path().to_owned(), 1)] {
            let mut writer = Writer::new(dir, failures.clone());
            let message = |what| Message {
                file: "a".into(),
                what,
            };
            let messages = [
                What::Text("halves-record 1\n".to_owned()),
                What::Cut("0.5".to_owned()),
                What::End,
            ];
            writer.write(Batch {
                messages: messages.map(message).into(),
                refused: 0,
            });
            assert_eq!(failures.unreported(), unreported);
        }
        let text = std::fs::read_to_string(dir.path().join("a")).expect("a file");
        assert_eq!(text, format!("halves-record 1\n0.5 cut {SLOW}\n"));
    }
}
