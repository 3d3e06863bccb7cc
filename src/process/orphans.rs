//! The children that this crate has started, and reaping of orphans as process 1.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::process::id;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use async_signal::Signal;
use rustix::process::{Pid, WaitOptions, waitpid};

use super::waitid::wait_blocking;
use crate::blocking::unblock;
use crate::signals::Signals;

/// Read-locked from the start of a child until it is in `CHILDREN`; write-locked to reap an orphan.
static START_LOCK: RwLock<()> = RwLock::new(());
/// The pids of the children that were started here and are not reaped.
static CHILDREN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Reaps orphans, for a program that is process 1 of a container or of another pid namespace, or a
/// "child subreaper" (see prctl(2)).
///
/// The system makes such a program the parent of orphans, and keeps exited orphans as zombies until
/// the program reaps them. The program runs this in a task, for ever.
///
/// Children with another owner are not reaped: those of [`Command`](super::Command), and all
/// processes in the process group of this program. Children of [`std::process::Command`] are in
/// that group by default. Orphans in that group stay zombies, as they cannot be distinguished from
/// such children; use [`reap_all_orphans`] if there are none.
///
/// `SIGCHLD` is caught along with other handlers of it, and unblocked on the thread that polls
/// this. The future ends only with an error: that of the system if the signal cannot be caught or
/// `/proc` cannot be read; [`Unsupported`](io::ErrorKind::Unsupported) if `/proc` is that of
/// another namespace, or the system is not Linux.
///
/// # Examples
///
/// ```
/// let ex = halves::Executor::new();
/// if std::process::id() == 1 {
///     ex.spawn(halves::process::reap_orphans()).detach();
/// }
/// ```
pub async fn reap_orphans() -> io::Error {
    reap_until_error(Spared::OwnGroup).await
}

/// Reaps orphans as [`reap_orphans`] does, including those in the process group of this program.
/// For a program that starts children only by [`Command`](super::Command).
///
/// Orphans in this group can be children of a process that this program has replaced by `exec`,
/// such as the shell of a container's entry point.
///
/// Children that were started in another way, such as by [`std::process::Command`], are reaped too:
/// waiting for them then fails. The errors are those of [`reap_orphans`].
///
/// # Examples
///
/// ```
/// let ex = halves::Executor::new();
/// if std::process::id() == 1 {
///     ex.spawn(halves::process::reap_all_orphans()).detach();
/// }
/// ```
pub async fn reap_all_orphans() -> io::Error {
    reap_until_error(Spared::None).await
}

/// The processes that are not reaped, beside the children of `Command`.
#[derive(Clone, Copy, PartialEq)]
enum Spared {
    /// The process group of this program.
    OwnGroup,
    None,
}

async fn reap_until_error(spared: Spared) -> io::Error {
    // Before the first search, so that no exit is missed.
    let mut signals = match Signals::catch(&[Signal::Child]) {
        Ok(signals) => signals,
        Err(error) => return error,
    };
    loop {
        if let Err(error) = unblock(move || reap_exited(spared)).await {
            return error;
        }
        if let Err(error) = signals.next().await {
            return error;
        }
    }
}

/// Starts a child by `spawn`, and adds it to the list of children.
pub(super) fn start<T>(
    spawn: impl FnOnce() -> io::Result<T>,
    pid: impl FnOnce(&T) -> Pid,
) -> io::Result<T> {
    let _starting = START_LOCK.read().unwrap_or_else(PoisonError::into_inner);
    let child = spawn()?;
    children().insert(raw_pid(pid(&child)));
    Ok(child)
}

/// Reaps a child that has exited or is about to exit, on a thread if needed, and removes it from
/// the list of children. Drops `memory` when it has exited.
pub(super) fn reap<M: Send + 'static>(pid: Pid, memory: M) {
    if !try_reap(pid) {
        let memory = ManuallyDrop::new(memory);
        let wait_and_reap = move || {
            // An error means that it is reaped already.
            let _ = wait_blocking(pid);
            try_reap(pid);
            drop(ManuallyDrop::into_inner(memory));
            Ok(())
        };
        // If there is no thread, it stays in the list, and a zombie from its exit on. Its memory
        // is not freed.
        let _ = unblock(wait_and_reap).detach();
    }
}

/// Returns false while the child runs.
fn try_reap(pid: Pid) -> bool {
    let mut children = children();
    // An error means that it is reaped already.
    let reaped = !matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None));
    if reaped {
        children.remove(&raw_pid(pid));
    }
    reaped
}

fn children() -> MutexGuard<'static, BTreeSet<i32>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn raw_pid(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

/// Reaps every exited child that has no other owner.
fn reap_exited(spared: Spared) -> io::Result<()> {
    let own = ProcStat::read("self").filter(|own| own.pid == id().cast_signed());
    let own = own.ok_or(io::ErrorKind::Unsupported)?;
    let is_orphan = |stat: &ProcStat| {
        let is_spared = spared == Spared::OwnGroup && stat.group == own.group;
        stat.exited && stat.parent == own.pid && !is_spared
    };
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| !is_child(name)) else {
            continue;
        };
        if ProcStat::read(name).is_some_and(|stat| is_orphan(&stat)) {
            reap_orphan(name, is_orphan);
        }
    }
    Ok(())
}

/// Returns true if this is the pid of a child that was started here.
fn is_child(name: &str) -> bool {
    name.parse().is_ok_and(|pid| children().contains(&pid))
}

/// Reaps a process if it is still an orphan. Starts of children wait meanwhile, as the process may
/// be one that is not in the list yet.
fn reap_orphan(name: &str, is_orphan: impl Fn(&ProcStat) -> bool) {
    let _lock = START_LOCK.write().unwrap_or_else(PoisonError::into_inner);
    let stat = ProcStat::read(name).filter(|stat| is_orphan(stat));
    if let Some(pid) = stat.and_then(|stat| Pid::from_raw(stat.pid)) {
        let children = children();
        if !children.contains(&raw_pid(pid)) {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// The fields of `/proc/PID/stat` that are used here, see proc(5).
#[derive(Debug, PartialEq)]
struct ProcStat {
    pid: i32,
    exited: bool,
    parent: i32,
    /// 0, which is not a `Pid`, for a group from outside the namespace.
    group: i32,
}

impl ProcStat {
    /// Returns None if there is no such process.
    fn read(name: &str) -> Option<Self> {
        if name != "self" && !name.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // The program's name may have any encoding.
        let stat = fs::read(format!("/proc/{name}/stat")).ok()?;
        Self::parse(&String::from_utf8_lossy(&stat))
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name is in parentheses and may contain parentheses.
        let (pid, rest) = stat.split_once(" (")?;
        let (_, rest) = rest.rsplit_once(") ")?;
        let mut words = rest.split(' ');
        Some(Self {
            pid: pid.parse().ok()?,
            exited: words.next()? == "Z",
            parent: words.next()?.parse().ok()?,
            group: words.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_may_contain_parentheses() {
        for name in ["sh", "a b", ") Z 1 1 (", "((", ""] {
            let stat = format!("12 ({name}) Z 1 10 11 0 -1 4228108 101\n");
            let expected = ProcStat {
                pid: 12,
                exited: true,
                parent: 1,
                group: 10,
            };
            assert_eq!(ProcStat::parse(&stat), Some(expected), "{name}");
        }
        let running = ProcStat::parse("12 (sh) S 1 0 11").expect("a process");
        assert!(!running.exited);
        for bad in ["", "12", "12 (sh)", "12 (sh) Z", "x (sh) Z 1 10"] {
            assert_eq!(ProcStat::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn proc_self_is_this_process() {
        let Some(own) = ProcStat::read("self") else {
            return;
        };
        assert_eq!(own.pid, id().cast_signed());
        assert!(!own.exited);
    }
}
