//! The signals that a new process resets, and the one that loses exit statuses.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

use super::syscall::syscall;

const IS_MIPS: bool = cfg!(any(target_arch = "mips", target_arch = "mips64"));
/// Signals are numbered from 1 up to this.
pub(super) const MAX_SIGNAL: c_int = if IS_MIPS { 127 } else { 64 };
/// The kernel's set of signals.
pub(super) type SignalSet = [u64; if IS_MIPS { 2 } else { 1 }];
/// Not less than the kernel's `struct sigaction`. Zeros are the default action, without flags.
pub(super) const DEFAULT_ACTION: [u64; 8] = [0; 8];

/// The signals that this process ignores or handles, from the first start of a program on: a server
/// installs its handlers after it has found the program.
#[derive(Clone, Debug, Default)]
pub(super) struct Dispositions(OnceLock<Vec<c_int>>);

impl Dispositions {
    pub(super) fn get(&self) -> &[c_int] {
        self.0.get().map_or(&[], Vec::as_slice)
    }

    /// Asks the kernel, the first time.
    pub(super) fn find(&self) {
        self.0.get_or_init(Self::current);
    }

    fn current() -> Vec<c_int> {
        let is_changed = |&signal: &c_int| {
            // Not by the C library, which hides the signals that it uses.
            let mut action = DEFAULT_ACTION;
            let at = ptr::from_mut(&mut action).expose_provenance();
            let args = [
                signal.unsigned_abs() as usize,
                0,
                at,
                size_of::<SignalSet>(),
            ];
            // SAFETY: without a new action, this only writes the current one to `action`.
            let asked = unsafe { syscall(libc::SYS_rt_sigaction, args) };
            asked.is_ok() && action != DEFAULT_ACTION
        };
        (1..=MAX_SIGNAL).filter(is_changed).collect()
    }
}

/// Makes the system keep the exit statuses of children, which it discards while `SIGCHLD` is ignored.
/// A handler stays.
pub(super) fn keep_exit_statuses() {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action, this writes the current one to `action`, unless it fails.
    let asked = unsafe { libc::sigaction(libc::SIGCHLD, ptr::null(), action.as_mut_ptr()) };
    if asked != 0 {
        return;
    }
    // SAFETY: the call has written it.
    let mut action = unsafe { action.assume_init() };
    let is_ignored = action.sa_sigaction == libc::SIG_IGN;
    if is_ignored || action.sa_flags & libc::SA_NOCLDWAIT != 0 {
        if is_ignored {
            action.sa_sigaction = libc::SIG_DFL;
        }
        action.sa_flags &= !libc::SA_NOCLDWAIT;
        // SAFETY: the action is the current one, or the default.
        unsafe { libc::sigaction(libc::SIGCHLD, &raw const action, ptr::null_mut()) };
    }
}
