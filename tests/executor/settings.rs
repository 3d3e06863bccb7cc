//! The settings: what they may be, that nothing else changes by them, and where pinned threads are.

use std::io::ErrorKind;

use halves::ExecutorBuilder;

use super::*;

#[test]
fn the_settings_say_on_how_many_threads() {
    let ex = Executor::builder().threads(NonZero::new(3).expect("not 0"));
    let ex = ex.build().expect("built");
    let here = thread::current().id();
    assert_ne!(
        ex.block_on(ex.spawn(async { thread::current().id() })),
        here
    );
    let ex = Executor::builder().build().expect("built");
    assert_eq!(
        ex.block_on(ex.spawn(async { thread::current().id() })),
        here
    );
}

#[test]
fn a_spin_has_a_bound() {
    let longer = ExecutorBuilder::MAX_SPIN + Duration::from_nanos(1);
    for spin in [longer, Duration::MAX] {
        let error = Executor::builder().spin(spin).build().expect_err("longer");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(Executor::builder().spin(Duration::ZERO).build().is_ok());
}

#[cfg(not(all(target_os = "linux", not(halves_portable))))]
#[test]
fn what_only_linux_does_is_refused_in_words() {
    for settings in [
        Executor::builder().pin(true),
        Executor::builder().spin(ExecutorBuilder::MAX_SPIN),
    ] {
        let error = settings.build().expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("Linux"));
    }
}

#[cfg(all(target_os = "linux", not(halves_portable)))]
mod linux {
    use rustix::thread::{CpuSet, sched_getaffinity};

    use super::*;
    use crate::skip::skip;

    /// Where this thread may run.
    fn cpus() -> Vec<usize> {
        let allowed = sched_getaffinity(None).expect("asked");
        let cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        cpus.collect()
    }

    fn pinned(threads: usize) -> Executor {
        let threads = NonZero::new(threads).expect("not 0");
        let settings = Executor::builder().threads(threads).pin(true);
        settings.build().expect("there are as many CPUs")
    }

    #[test]
    fn the_longest_spin_is_one_too() {
        let settings = Executor::builder().spin(ExecutorBuilder::MAX_SPIN);
        let ex = settings.build().expect("not too long");
        assert_eq!(ex.block_on(in_time(ex.spawn(async { 5 }))), 5);
    }

    #[test]
    fn a_thread_is_pinned_while_it_runs_tasks_and_no_longer() {
        let (ex, before) = (pinned(1), cpus());
        let first = &before[..1];
        assert_eq!(ex.block_on(async { cpus() }), first);
        assert_eq!(ex.block_on(ex.spawn(async { cpus() })), first);
        let inner = pinned(1);
        let within = ex.spawn(async move { (inner.block_on(async { cpus() }), cpus()) });
        assert_eq!(ex.block_on(within), (first.to_vec(), first.to_vec()));
        assert_eq!(cpus(), before);
        let panics = || ex.block_on(async { resume_unwind(Box::new("asked to")) });
        catch_unwind(AssertUnwindSafe(panics)).expect_err("it goes on here");
        assert_eq!(cpus(), before);
    }

    #[test]
    fn each_thread_is_pinned_to_a_cpu_of_its_own() {
        let before = cpus();
        let threads = before.len().clamp(1, 4);
        let ex = pinned(threads);
        // Each is held until all of them are.
        let together = Arc::new(Barrier::new(threads));
        let tasks: Vec<_> = (0..threads)
            .map(|_| {
                let together = together.clone();
                ex.spawn(async move {
                    together.wait();
                    cpus()
                })
            })
            .collect();
        let mut found = Vec::new();
        for task in tasks {
            found.extend(ex.block_on(in_time(task)));
        }
        found.sort_unstable();
        assert_eq!(found, before[..threads]);
        assert_eq!(cpus(), before);
    }

    #[test]
    fn with_threads_of_its_own_it_leaves_ours_alone() {
        let before = cpus();
        if before.len() < 2 {
            return skip("with_threads_of_its_own_it_leaves_ours_alone", "one CPU");
        }
        assert_eq!(pinned(2).block_on(async { cpus() }), before);
    }

    #[test]
    fn there_is_a_cpu_for_each_thread_or_an_error() {
        let threads = NonZero::new(cpus().len() + 1).expect("not 0");
        let settings = Executor::builder().threads(threads).pin(true);
        let error = settings.build().expect_err("one too many");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let said = error.to_string();
        assert!(said.contains(&format!("{threads} threads")), "{said}");
    }
}
