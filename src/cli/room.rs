//! Whether the system gives the process what a server needs to start.

use std::io::{self, PipeReader, PipeWriter};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Descriptors, for signals, for the executor, and for a listener.
const FILES: usize = 16;
/// More of them for each thread of the executor but the first.
const FILES_OF_A_THREAD: usize = 3;
/// Threads: for signals, for orders, for the watchdog, for a call that blocks and for async-io.
const THREADS: usize = 5;

/// Takes all of it at once and gives it back. What lacks later would be a panic of the runtime, or
/// a server that does not hear of its end.
pub(super) fn check(threads: usize) -> io::Result<()> {
    let more = threads.saturating_sub(1);
    let files = FILES + more * FILES_OF_A_THREAD;
    take_files(files).map_err(|error| {
        let problem = format!("cannot start with less than {files} more open files (ulimit -n)");
        io::Error::new(error.kind(), format!("{problem}: {error}"))
    })?;
    let threads = THREADS + more;
    take_threads(threads).map_err(|error| {
        let problem = format!("cannot start with less than {threads} more threads (ulimit -u)");
        io::Error::new(error.kind(), format!("{problem}: {error}"))
    })
}

fn take_files(number: usize) -> io::Result<()> {
    let pipes: io::Result<Vec<(PipeReader, PipeWriter)>> =
        (0..number.div_ceil(2)).map(|_| io::pipe()).collect();
    pipes.map(drop)
}

fn take_threads(number: usize) -> io::Result<()> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let _closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..number {
            let wait = || drop(gate.lock().unwrap_or_else(PoisonError::into_inner));
            thread::Builder::new().spawn_scoped(scope, wait)?;
        }
        Ok(())
    })
}
