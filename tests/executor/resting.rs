//! The CPU time of threads without work, as the kernel counts it.

use std::fs;
use std::iter;
use std::sync::mpsc;

use super::*;

/// Wake-ups to wait for, and far more CPU time than one of them takes.
const WAKE_UPS: u64 = 100;
const WAKE_UP: Duration = Duration::from_millis(1);

/// The ids of the threads of an executor.
fn ids(ex: &Executor, threads: usize) -> Vec<i32> {
    // Each task holds its thread until all of them run.
    let together = Arc::new(Barrier::new(threads));
    let id = |together: Arc<Barrier>| async move {
        together.wait();
        own_id()
    };
    let tasks = iter::repeat_with(|| ex.spawn(id(together.clone())));
    let tasks: Vec<_> = tasks.take(threads).collect();
    let ids = tasks.into_iter().map(|task| ex.block_on(in_time(task)));
    ids.collect()
}

fn own_id() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// The CPU time of threads, and the number of times that they went to sleep.
#[derive(Debug, PartialEq, Eq)]
struct Usage {
    cpu: Duration,
    sleeps: u64,
}

impl Usage {
    /// Returns None if the kernel does not count CPU time.
    fn of(threads: &[i32]) -> Option<Self> {
        let (mut cpu, mut sleeps) = (0, 0);
        for thread in threads {
            let task = format!("/proc/self/task/{thread}");
            let times = fs::read_to_string(format!("{task}/schedstat")).ok()?;
            cpu += number(times.split_whitespace().next()?);
            let status =
                fs::read_to_string(format!("{task}/status")).expect("there is such a thread");
            let switches = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            sleeps += number(switches?.trim());
        }
        let cpu = Duration::from_nanos(cpu);
        Some(Self { cpu, sleeps })
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

#[test]
fn threads_beside_one_that_is_held_sleep_between_two_looks() {
    for n in [2, 3, 5] {
        let ex = threads(n);
        let mut others = ids(&ex, n);
        let ((held, holds), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
        let holder = ex.spawn(async move {
            held.send(own_id()).expect("received");
            let _ = released.recv();
        });
        let held = holds.recv_timeout(TIMEOUT).expect("it is held");
        others.retain(|&id| id != held);
        assert_eq!(others.len(), n - 1);
        let Some(before) = Usage::of(&others) else {
            return;
        };
        let used = || {
            let now = Usage::of(&others).expect("as before");
            (now.cpu - before.cpu, now.sleeps - before.sleeps)
        };
        // The watch goes on.
        smol::block_on(in_time(async {
            while used().1 < WAKE_UPS {
                Timer::after(WAKE_UP).await;
            }
        }));
        let (cpu, sleeps) = used();
        let bound = u32::try_from(sleeps).map_or(Duration::MAX, |sleeps| sleeps * WAKE_UP);
        assert!(cpu < bound, "{n} threads: {cpu:?} in {sleeps} wake-ups");
        drop(release);
        ex.block_on(in_time(holder));
    }
}

#[test]
fn threads_of_an_idle_executor_stay_asleep() {
    for n in [2, 3, 5] {
        let ex = threads(n);
        let ids = ids(&ex, n);
        // Connections and sleeps wait there.
        let (_client, mut server) = ex.block_on(in_time(ex.spawn(pair())));
        let reads = ex.spawn(async move { server.reader.read(&mut [0]).await });
        let sleeps = ex.spawn(halves::Clock::default().sleep(Duration::from_hours(1)));
        let Some(mut before) = Usage::of(&ids) else {
            return;
        };
        // The watch ends once it finds that no task runs.
        smol::block_on(in_time(async {
            loop {
                Timer::after(Duration::from_millis(50)).await;
                let now = Usage::of(&ids).expect("as before");
                if now == before {
                    break;
                }
                before = now;
            }
        }));
        drop((reads, sleeps));
    }
}
