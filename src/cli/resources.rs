//! The descriptors and threads that a server needs at its start.

use std::io::{self, PipeReader, PipeWriter};
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use halves::limits::connections_for_open_files;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::admin;
use super::args::ServerOptions;

/// Descriptors for signals, for the executor and for one listener.
const START_FILES: usize = 16;
/// Additional descriptors for each thread of the executor after the first.
pub(super) const FILES_PER_THREAD: usize = 3;
/// Threads for signals, reloads, the forced exit, one blocking call and async-io.
const START_THREADS: usize = 5;

/// Raises the soft limit of open files to the hard limit. Each connection takes a file; the soft
/// limit is low for programs that use select(2).
///
/// If the system refuses, the server runs with the limit that it has.
pub(super) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// Sets the soft limit of open files, at most to the hard limit. None is unlimited.
pub(super) fn limit_files(files: Option<u64>) -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = match (files, limit.maximum) {
        (Some(files), Some(hard)) => Some(files.min(hard)),
        (files, hard) => files.or(hard),
    };
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Returns the most connections that may be open. Without an option this depends on the limit of
/// open files: each connection takes `files`, and those of operators have theirs.
pub(super) fn max_connections(options: &ServerOptions, files: usize) -> usize {
    let reserved = admin::files(options).div_ceil(files);
    let most = connections_for_open_files(files);
    let default = most.saturating_sub(reserved).max(1);
    options.max_connections.map_or(default, NonZero::get)
}

/// Returns the number of threads of the executor, of the administrative listeners and of records.
pub(super) fn threads(options: &ServerOptions) -> usize {
    let has_admin = options.control.is_some() || options.metrics.is_some();
    let has_records = options.record.is_some();
    options.threads.get() + usize::from(has_admin) + usize::from(has_records)
}

/// Checks that the descriptors and threads of a start are available: takes all of them at once and
/// gives them back. A lack that appears later would be a panic of the runtime, or a server that
/// misses signals.
pub(super) fn check(executor_threads: usize) -> io::Result<()> {
    let more = executor_threads.saturating_sub(1);
    let files = START_FILES + more * FILES_PER_THREAD;
    take_files(files).map_err(|error| {
        let problem = format!("cannot start: needs {files} more open files (ulimit -n)");
        io::Error::new(error.kind(), format!("{problem}: {error}"))
    })?;
    let threads = START_THREADS + more;
    take_threads(threads).map_err(|error| {
        let problem = format!("cannot start: needs {threads} more threads (ulimit -u)");
        io::Error::new(error.kind(), format!("{problem}: {error}"))
    })
}

fn take_files(number: usize) -> io::Result<()> {
    let pipes: io::Result<Vec<(PipeReader, PipeWriter)>> =
        (0..number.div_ceil(2)).map(|_| io::pipe()).collect();
    pipes.map(drop)
}

/// Starts this many threads, each of which waits until all have started.
fn take_threads(number: usize) -> io::Result<()> {
    let barrier = Mutex::new(());
    thread::scope(|scope| {
        let _locked = barrier.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..number {
            let wait = || drop(barrier.lock().unwrap_or_else(PoisonError::into_inner));
            thread::Builder::new().spawn_scoped(scope, wait)?;
        }
        Ok(())
    })
}
