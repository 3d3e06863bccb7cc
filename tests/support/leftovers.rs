//! Counts what connections may leave behind: descriptors, processes, threads and files.

use std::fs;
use std::io;
use std::path::Path;

use halves::Executor;

use crate::support::namespace::{processes, wait_until};

pub(crate) const CONNECTIONS: usize = 3000;

/// The numbers of descriptors, children, threads and files.
pub(crate) fn present(dir: &Path) -> [usize; 4] {
    let entries = |path: &Path| fs::read_dir(path).map_or(0, Iterator::count);
    let us = std::process::id();
    let processes = processes().into_iter();
    let children = processes.filter(|&(.., parent)| parent == us).count();
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let names = tasks.filter_map(|task| fs::read(task.ok()?.path().join("comm")).ok());
    // The blocking pool keeps as many threads as it had calls at once.
    let (pool, threads): (Vec<_>, Vec<_>) = names.partition(|name| name.starts_with(b"blocking-"));
    assert!(pool.len() < 20, "{} threads in the pool", pool.len());
    [
        entries("/proc/self/fd".as_ref()),
        children,
        threads.len(),
        entries(dir),
    ]
}

/// Runs rounds of one connection each, and waits until nothing is left of them.
pub(crate) fn leaves_nothing(dir: &Path, what: &str, round: impl AsyncFn(usize) -> io::Result<()>) {
    let ex = Executor::new();
    let before = present(dir);
    ex.block_on(async {
        for n in 0..CONNECTIONS {
            round(n).await.expect(what);
        }
    });
    drop(ex);
    is_as_before(what, dir, before);
}

/// Waits until there is no more than before. Threads of the blocking pool may still have work, and
/// threads that are not joined may be about to end.
pub(crate) fn is_as_before(what: &str, dir: &Path, before: [usize; 4]) {
    wait_until(&format!("{what}: as in the beginning, {before:?}"), || {
        let now = present(dir);
        now.iter().zip(&before).all(|(now, before)| now <= before)
    });
}
