//! Pins threads to cores, and raises the limit of descriptors.

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;

/// The cores this process may use.
pub struct Cores {
    allowed: Vec<usize>,
}

impl Cores {
    /// Reads the allowed cores from the kernel. Call this before any thread is pinned.
    pub fn detect() -> io::Result<Cores> {
        let set = sched_getaffinity(None)?;
        let allowed = (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core));
        Ok(Cores {
            allowed: allowed.collect(),
        })
    }

    pub fn count(&self) -> usize {
        self.allowed.len()
    }

    /// Pins the calling thread, and the processes that it starts from now on, to the first `count`
    /// cores.
    pub fn pin(&self, count: usize) -> io::Result<()> {
        let mut set = CpuSet::new();
        for &core in self.allowed.iter().take(count) {
            set.set(core);
        }
        Ok(sched_setaffinity(None, &set)?)
    }
}

/// Raises the soft limit of descriptors to the hard limit. Servers inherit it.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
