//! Keeps a thread on one CPU.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// While it lives, the thread that made it stays on its CPU.
pub(super) struct Pinned {
    before: CpuSet,
}

impl Pinned {
    /// None, if the system has taken that CPU away since [`spare`] was asked: the thread runs
    /// where it may.
    pub(super) fn to(cpu: usize) -> Option<Self> {
        let before = sched_getaffinity(None).ok()?;
        let mut only = CpuSet::new();
        only.set(cpu);
        sched_setaffinity(None, &only).ok()?;
        Some(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The system may have taken all of them away.
        let _ = sched_setaffinity(None, &self.before);
    }
}

/// A CPU for each of so many threads, of those that this thread may use.
pub(super) fn spare(threads: usize) -> io::Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    // What would fail then fails now.
    sched_setaffinity(None, &allowed)?;
    let cpus: Vec<_> = (0..CpuSet::MAX_CPU)
        .filter(|&cpu| allowed.is_set(cpu))
        .take(threads)
        .collect();
    match cpus.len() {
        there if there < threads => {
            let problem = format!("cannot pin {threads} threads to the {there} CPUs there are");
            Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
        }
        _ => Ok(cpus),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus() -> Vec<usize> {
        let allowed = sched_getaffinity(None).expect("asked");
        let cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        cpus.collect()
    }

    #[test]
    fn a_thread_is_pinned_for_a_while_also_within_another_while() {
        let before = cpus();
        let last = *before.last().expect("this runs somewhere");
        let outer = Pinned::to(before[0]);
        assert_eq!(cpus(), [before[0]]);
        let inner = Pinned::to(last);
        assert_eq!(cpus(), [last]);
        drop(inner);
        assert_eq!(cpus(), [before[0]]);
        drop(outer);
        assert_eq!(cpus(), before);
    }

    #[test]
    fn a_cpu_that_is_not_there_pins_nothing() {
        let before = cpus();
        let absent = (0..CpuSet::MAX_CPU).rfind(|cpu| !before.contains(cpu));
        if let Some(absent) = absent {
            assert!(Pinned::to(absent).is_none());
        }
        assert_eq!(cpus(), before);
    }

    #[test]
    fn there_are_as_many_cpus_to_spare_as_may_be_used() {
        let all = cpus();
        assert_eq!(spare(1).expect("one"), all[..1]);
        assert_eq!(spare(all.len()).expect("all"), all);
        let error = spare(all.len() + 1).expect_err("one more");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
