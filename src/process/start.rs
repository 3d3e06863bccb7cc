//! Starts a program without a copy of this process.
//!
//! A fork would copy the page tables of a server with much memory. The new process instead borrows
//! the memory of this one until it runs the program, and the calling thread waits meanwhile, as in
//! `posix_spawn(3)`. That function cannot set limits, and the one of the standard library falls back
//! to a fork for a function of the caller.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::process::{Pid, Resource, WaitOptions, getrlimit, waitpid};

use super::program::Program;

/// The stack of the new process until it runs the program. It makes a dozen system calls.
const STACK_BYTES: usize = 32 * 1024;
/// Runs a script that does not begin with `#!`, as execvp(3) does.
const SHELL: &CStr = c"/bin/sh";
/// The signals of Linux are numbered from 1. MIPS has 127.
const MAX_SIGNAL: c_int = 127;
/// The first descriptor after the standard streams.
const FIRST_OTHER_FD: c_int = 3;

/// The signals that this process ignores or handles.
#[derive(Clone, Debug)]
pub(super) struct Dispositions(Vec<c_int>);

impl Dispositions {
    /// Asks the kernel.
    pub(super) fn current() -> Self {
        let is_changed = |&signal: &c_int| {
            let mut action = MaybeUninit::<libc::sigaction>::uninit();
            // SAFETY: without a new action, this only writes the current one to `action`, unless it
            // fails.
            let failed = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
            // SAFETY: it did not fail.
            failed == 0 && unsafe { action.assume_init() }.sa_sigaction != libc::SIG_DFL
        };
        Self((1..=MAX_SIGNAL).filter(is_changed).collect())
    }
}

/// All that the new process needs. It is made before, since the new process must not allocate.
struct Plan<'a> {
    path: &'a CStr,
    /// These end with a null pointer.
    args: &'a [*const c_char],
    shell_args: &'a [*const c_char],
    variables: &'a [*const c_char],
    streams: [c_int; 2],
    limit: Option<libc::rlimit>,
    /// The signals to set to their default.
    signals: &'a [c_int],
    /// The error of the new process, or 0.
    error: c_int,
}

#[repr(align(16))]
struct Stack(#[expect(dead_code, reason = "used by its address")] [MaybeUninit<u8>; STACK_BYTES]);

/// Starts a program as the leader of a new process group, with default signals and no descriptors
/// but its standard streams. Returns its pidfd, if the kernel has those, and its pid.
pub(super) fn start(
    program: &Program,
    variables: &[&CStr],
    streams: [BorrowedFd<'_>; 2],
) -> io::Result<(Option<OwnedFd>, Pid)> {
    let args = pointers(program.args.iter().map(CString::as_c_str));
    let script = [SHELL, &program.path];
    let rest = program.args.iter().skip(1).map(CString::as_c_str);
    let shell_args = pointers(script.into_iter().chain(rest));
    let mut plan = Plan {
        path: &program.path,
        args: &args,
        shell_args: &shell_args,
        variables: &pointers(variables.iter().copied()),
        streams: streams.map(|fd| fd.as_raw_fd()),
        limit: program.max_files.map(limit),
        signals: &program.dispositions.0,
        error: 0,
    };
    let (pid, pidfd) = clone(&mut plan)?;
    // SAFETY: the kernel has made this descriptor for this call.
    let pidfd = (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
    // SAFETY: the value is valid. It was written by the new process, unknown to the compiler.
    let error = unsafe { ptr::read_volatile(&raw const plan.error) };
    if error != 0 {
        // It has ended, or is about to.
        let _ = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
        return Err(io::Error::from_raw_os_error(error));
    }
    Ok((pidfd, pid))
}

fn pointers<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<*const c_char> {
    strings.map(CStr::as_ptr).chain([ptr::null()]).collect()
}

fn limit(max_files: u64) -> libc::rlimit {
    let hard = getrlimit(Resource::Nofile).maximum;
    libc::rlimit {
        rlim_cur: hard.map_or(max_files, |hard| hard.min(max_files)),
        rlim_max: hard.unwrap_or(libc::RLIM_INFINITY),
    }
}

/// Makes the process, and waits until it runs the program or has failed. Returns its pid, and its
/// pidfd or -1.
fn clone(plan: &mut Plan<'_>) -> io::Result<(Pid, c_int)> {
    let mut stack = MaybeUninit::<Stack>::uninit();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut pidfd: c_int = -1;
    // A handler must not run in the new process, which has the memory of this one.
    let blocked = block_signals();
    // SAFETY: `run` gets a plan that only it uses, and a stack of its own, which grows down from
    // its end and is aligned. Both outlive the process's use of them: this call returns when the
    // process runs the program or has ended.
    let pid = unsafe {
        libc::clone(
            run,
            stack.as_mut_ptr().add(1).cast(),
            flags,
            ptr::from_mut(plan).cast(),
            &raw mut pidfd,
        )
    };
    let error = io::Error::last_os_error();
    restore_signals(&blocked);
    Pid::from_raw(pid.max(0))
        .map(|pid| (pid, pidfd))
        .ok_or(error)
}

/// Blocks all signals of this thread. Returns those that were blocked before.
fn block_signals() -> libc::sigset_t {
    let (mut all, mut before) = (empty_set(), empty_set());
    // SAFETY: both sets are valid, and only this thread is changed.
    unsafe {
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
    }
    before
}

fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: the set is valid.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the call makes the set valid.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

/// The new process.
extern "C" fn run(plan: *mut c_void) -> c_int {
    // SAFETY: `clone` passes a plan, and waits meanwhile.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    plan.error = execute(plan);
    // SAFETY: this ends the process without running code of the parent.
    unsafe { libc::_exit(127) }
}

/// Prepares this process and runs the program. Returns the error if that fails.
fn execute(plan: &Plan<'_>) -> c_int {
    // SAFETY: only this process is changed: it has no thread but this one, and a table of
    // descriptors and of signals of its own. All calls are async-signal-safe: none takes a lock or
    // allocates. The strings and arrays of the plan are valid, and end as execve needs it.
    unsafe {
        if libc::setpgid(0, 0) != 0 {
            return errno();
        }
        if let Some(limit) = &plan.limit
            && libc::setrlimit(libc::RLIMIT_NOFILE, limit) != 0
        {
            return errno();
        }
        for (stream, to) in plan.streams.into_iter().zip(0..) {
            if libc::dup2(stream, to) < 0 {
                return errno();
            }
        }
        // Fails with kernels before 5.11, where the descriptors of other code may be left.
        let flags = libc::CLOSE_RANGE_CLOEXEC;
        libc::syscall(libc::SYS_close_range, FIRST_OTHER_FD, c_int::MAX, flags);
        reset_signals(plan.signals);
        let (args, variables) = (plan.args.as_ptr(), plan.variables.as_ptr());
        libc::execve(plan.path.as_ptr(), args, variables);
        if errno() == libc::ENOEXEC {
            libc::execve(SHELL.as_ptr(), plan.shell_args.as_ptr(), variables);
        }
        errno()
    }
}

/// Sets signals to their default and unblocks all.
///
/// # Safety
///
/// For a new process that is still in the memory of its parent.
unsafe fn reset_signals(signals: &[c_int]) {
    // SAFETY: zeros are the default action, without flags. The sets are valid.
    unsafe {
        let default: libc::sigaction = mem::zeroed();
        for &signal in signals {
            libc::sigaction(signal, &raw const default, ptr::null_mut());
        }
        // A handler that was set later must not run here either. From now on signals come only to
        // the pid of this process, which nothing knows yet.
        let mut pending = empty_set();
        libc::sigpending(&raw mut pending);
        for signal in (1..=MAX_SIGNAL).take_while(|&signal| signal <= libc::SIGRTMAX()) {
            if libc::sigismember(&raw const pending, signal) == 1 {
                libc::sigaction(signal, &raw const default, ptr::null_mut());
            }
        }
        let none = empty_set();
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
