//! CPU time and memory of a server process, read from /proc.

use rustix::param::clock_ticks_per_second;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The CPU time of a process so far.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// In nanoseconds, of the living threads.
    living: Duration,
    /// In clock ticks, of all threads including ended ones.
    all: Duration,
}

impl Cpu {
    pub fn of(pid: u32) -> io::Result<Cpu> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(Cpu {
            living: living(pid)?,
            all: ticks(&stat, OWN_FIELDS).ok_or_else(unknown_stat)?,
        })
    }

    /// Adds the time of all descendants that have ended. This is in ticks only.
    pub fn with_children(pid: u32) -> io::Result<Cpu> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok(Cpu {
            living: Duration::ZERO,
            all: ticks(&stat, ALL_FIELDS).ok_or_else(unknown_stat)?,
        })
    }

    /// Returns the time used since `earlier`.
    ///
    /// Ticks are coarse, so they are used only if they show that threads have ended in between.
    pub fn since(&self, earlier: &Cpu) -> Duration {
        let living = self.living.saturating_sub(earlier.living);
        let all = self.all.saturating_sub(earlier.all);
        match all > living + TICKS_TOLERANCE {
            true => all,
            false => living,
        }
    }
}

/// Returns the private dirty memory of a process.
pub fn private_bytes(pid: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    private_dirty(&rollup)
        .ok_or_else(|| io::Error::other("/proc/PID/smaps_rollup has an unknown format"))
}

/// The usage of a server and all its descendants.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tree {
    /// The sum of `private_bytes`.
    pub private_bytes: u64,
    pub threads: u64,
    pub processes: u64,
    /// The CPU time of all living threads.
    pub cpu: Duration,
}

impl Tree {
    /// Reads the usage of a process and its descendants. Skips processes that have exited or exit
    /// meanwhile.
    pub fn of(pid: u32) -> Tree {
        let Ok(private_bytes) = private_bytes(pid) else {
            return Tree::default();
        };
        let tasks: Vec<PathBuf> = fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .filter_map(|task| Some(task.ok()?.path()))
            .collect();
        let mut tree = Tree {
            private_bytes,
            threads: tasks.len() as u64,
            processes: 1,
            cpu: living(pid).unwrap_or_default(),
        };
        for task in &tasks {
            let children = fs::read_to_string(task.join("children")).unwrap_or_default();
            for child in children
                .split_whitespace()
                .filter_map(|pid| pid.parse().ok())
            {
                let below = Tree::of(child);
                tree.private_bytes += below.private_bytes;
                tree.threads += below.threads;
                tree.processes += below.processes;
                tree.cpu += below.cpu;
            }
        }
        tree
    }
}

/// Returns the CPU time of the living threads of a process, in nanoseconds.
pub fn living(pid: u32) -> io::Result<Duration> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end while the list is read.
        if let Ok(schedstat) = fs::read_to_string(task?.path().join("schedstat")) {
            sum += on_cpu(&schedstat).ok_or_else(|| {
                io::Error::other("/proc/PID/task/TID/schedstat has an unknown format")
            })?;
        }
    }
    Ok(Duration::from_nanos(sum))
}

fn on_cpu(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

fn unknown_stat() -> io::Error {
    io::Error::other("/proc/PID/stat has an unknown format")
}

/// Adds the first `count` of these fields: user and system time, the 14th and 15th, and the same of
/// descendants that have ended. The second field, a name, may contain any character.
fn ticks(stat: &str, count: usize) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut sum = 0;
    for _ in 0..count {
        sum += fields.next()?.parse::<u64>().ok()?;
    }
    let seconds = sum as f64 / clock_ticks_per_second() as f64;
    Some(Duration::from_secs_f64(seconds))
}

fn private_dirty(rollup: &str) -> Option<u64> {
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Private_Dirty:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The fields of [`ticks`] for a process, and with its children.
const OWN_FIELDS: usize = 2;
const ALL_FIELDS: usize = 4;
/// Two counters with ticks of 10 ms may each be off by one at both ends.
const TICKS_TOLERANCE: Duration = Duration::from_millis(40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_field_of_schedstat_is_the_cpu_time() {
        assert_eq!(on_cpu("123456 789 10\n"), Some(123_456));
        assert_eq!(on_cpu(""), None);
    }

    #[test]
    fn a_name_with_parentheses_does_not_move_the_fields() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 90 0 0 0 0 0 0 0 20 0 1 0 5";
        assert_eq!(ticks(stat, OWN_FIELDS), Some(Duration::ZERO));
        let stat = "7 (a) S 1 7 7 0 -1 4194304 90 0 0 0 1 2 30 40 20 0 1 0 5";
        let seconds = |fields| ticks(stat, fields).map(|sum| sum.as_secs_f64());
        let per_second = clock_ticks_per_second() as f64;
        assert_eq!(seconds(OWN_FIELDS), Some(3.0 / per_second));
        assert_eq!(seconds(ALL_FIELDS), Some(73.0 / per_second));
    }

    #[test]
    fn a_tree_counts_children_until_they_end() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let tree = Tree::of(std::process::id());
        assert!(tree.processes >= 2 && tree.threads > tree.processes - 1);
        assert!(tree.private_bytes > 0);
        let pid = child.id();
        assert_eq!(Tree::of(pid).processes, 1);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Tree::of(pid), Tree::default());
    }

    #[test]
    fn private_memory_is_found_by_name() {
        let rollup = "Rss: 99 kB\nPrivate_Clean: 8 kB\nPrivate_Dirty:      12 kB\n";
        assert_eq!(private_dirty(rollup), Some(12 * 1024));
    }

    #[test]
    fn ended_threads_show_in_ticks_only() {
        let zero = Cpu {
            living: Duration::ZERO,
            all: Duration::ZERO,
        };
        let (ms, used) = (Duration::from_millis, |living, all| Cpu { living, all });
        assert_eq!(used(ms(100), ms(120)).since(&zero), ms(100));
        assert_eq!(used(ms(100), ms(900)).since(&zero), ms(900));
    }
}
