//! Which processes are ours to wait for; and those that nobody waits for, as process 1.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::process::{Child, Command, id};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use async_signal::Signal;
use rustix::process::{Pid, WaitOptions, waitpid};

use super::child::wait_blocking;
use crate::blocking::unblock;
use crate::signals::Signals;

/// Held while a child is started, until it is in the list; alone, while orphans are looked for.
static STARTING: RwLock<()> = RwLock::new(());
/// The children that were started here, and are not forgotten.
static CHILDREN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// For a program that is process 1 of a container, or of another namespace of processes, or a
/// "child subreaper" (see prctl(2)): the system makes it the parent of processes whose own parent
/// is gone, and keeps what is left of them until it asks how they exited. This asks, for ever.
///
/// It does not ask for those that somebody else is to ask for: the children that
/// [`Command`](super::Command) started, and all processes of our own group, where those are that
/// [`std::process::Command`] and others start, if they are not told otherwise. What such children
/// leave behind in our group therefore stays, as nobody can tell it from what is waited for; see
/// [`reap_all_orphans`] where there are none.
///
/// It is the program's to run this, in a task. It hears of `SIGCHLD` beside others that do, and
/// unblocks it on the thread that polls it. It ends only with an error: what the system says when the
/// signal cannot be watched, or `/proc` be read; [`Unsupported`](io::ErrorKind::Unsupported) when that
/// is the one of another namespace, or this is not Linux.
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
    reap(Others::Group).await
}

/// Reaps orphans as [`reap_orphans`] does, and also those in the process group of this program: for
/// one that starts children by [`Command`](super::Command) alone.
///
/// A process that was replaced by this program with `exec`, such as the shell of a container's entry
/// point, may have left children behind in this group.
///
/// Any child that was started in another way, such as with [`std::process::Command`], is reaped too:
/// waiting for it is then an error. The errors are those of [`reap_orphans`].
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
    reap(Others::None).await
}

/// Where children may be that other parts of the program wait for.
#[derive(Clone, Copy, PartialEq)]
enum Others {
    /// In the process group of this program.
    Group,
    /// Nowhere.
    None,
}

async fn reap(others: Others) -> io::Error {
    // Before the first look, so that nobody exits between.
    let mut signals = match Signals::catch(&[Signal::Child]) {
        Ok(signals) => signals,
        Err(error) => return error,
    };
    loop {
        if let Err(error) = unblock(move || sweep(others)).await {
            return error;
        }
        if let Err(error) = signals.next().await {
            return error;
        }
    }
}

/// Starts a child that is ours to wait for.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    let _starting = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    let child = command.spawn()?;
    children().insert(number(Pid::from_child(&child)));
    Ok(child)
}

/// Has the system forget a child, which is about to exit if it has not, and leaves its number to
/// others.
pub(super) fn forget(pid: Pid) {
    if !forget_now(pid) {
        let forget = move || {
            let _ = wait_blocking(pid);
            forget_now(pid);
            Ok(())
        };
        // Without a thread it remains one of ours, which is a zombie from its exit on.
        let _ = unblock(forget).detach();
    }
}

fn forget_now(pid: Pid) -> bool {
    let mut children = children();
    // An error says that it is forgotten already.
    let forgotten = !matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None));
    if forgotten {
        children.remove(&number(pid));
    }
    forgotten
}

fn children() -> MutexGuard<'static, BTreeSet<i32>> {
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

/// Forgets every exited child that nobody else asks for.
fn sweep(others: Others) -> io::Result<()> {
    let _alone = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    let us = Process::read("self").filter(|us| us.pid == id().cast_signed());
    let us = us.ok_or(io::ErrorKind::Unsupported)?;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let process = name.to_str().and_then(Process::read);
        let orphan = process.filter(|process| {
            let is_others = others == Others::Group && process.group == us.group;
            process.exited && process.parent == us.pid && !is_others
        });
        if let Some(pid) = orphan.and_then(|orphan| Pid::from_raw(orphan.pid)) {
            let children = children();
            if !children.contains(&number(pid)) {
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
    }
    Ok(())
}

/// What proc(5) says of a process in its `stat`.
#[derive(Debug, PartialEq)]
struct Process {
    pid: i32,
    exited: bool,
    parent: i32,
    /// 0 for a group that began outside of the namespace, so no `Pid`.
    group: i32,
}

impl Process {
    /// None for what is no process, or not one any more.
    fn read(name: &str) -> Option<Self> {
        if name != "self" && !name.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // The name of its program may be in any encoding.
        let stat = fs::read(format!("/proc/{name}/stat")).ok()?;
        Self::parse(&String::from_utf8_lossy(&stat))
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name stands in parentheses, and may have some of its own.
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
    fn a_process_may_have_any_name() {
        for name in ["sh", "a b", ") Z 1 1 (", "((", ""] {
            let stat = format!("12 ({name}) Z 1 10 11 0 -1 4228108 101\n");
            let expected = Process {
                pid: 12,
                exited: true,
                parent: 1,
                group: 10,
            };
            assert_eq!(Process::parse(&stat), Some(expected), "{name}");
        }
        let running = Process::parse("12 (sh) S 1 0 11").expect("a process");
        assert!(!running.exited);
        for bad in ["", "12", "12 (sh)", "12 (sh) Z", "x (sh) Z 1 10"] {
            assert_eq!(Process::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn we_find_ourselves() {
        let Some(us) = Process::read("self") else {
            return;
        };
        assert_eq!(us.pid, id().cast_signed());
        assert!(!us.exited);
    }
}
