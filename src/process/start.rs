//! Starts a program without a copy of this process, and without waiting for it.
//!
//! A fork would copy the page tables of a server with much memory. The new process instead borrows
//! the memory of this one until it runs the program, as with `posix_spawn(3)`. That function waits
//! meanwhile, for a file system that can be slow, so a server would need a thread for each call.
//! Here the new process has a stack of its own, and this process goes on. What the new process
//! reads and writes stays allocated until it has ended.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{Pid, Resource, getrlimit};

use super::dispositions::{DEFAULT_ACTION, MAX_SIGNAL, SignalSet};
use super::program::{New, Program};
use super::syscall::{IS_ERRNO_FREE, syscall};

/// The stack of the new process until it runs the program. It makes a dozen system calls.
const STACK_BYTES: usize = 16 * 1024;
/// Runs a script that does not begin with `#!`, as execvp(3) does.
const SHELL: &CStr = c"/bin/sh";
/// The first descriptor after the standard streams.
const FIRST_OTHER_FD: i32 = 3;

/// The memory that the new process uses until it runs the program.
struct Plan {
    path: *const c_char,
    /// These end with a null pointer.
    args: Vec<*const c_char>,
    shell_args: Vec<*const c_char>,
    variables: Vec<*const c_char>,
    streams: [c_int; 2],
    limit: Option<[u64; 2]>,
    /// The error of the new process, or 0. It is written before the process ends.
    error: AtomicI32,
    stack: MaybeUninit<Stack>,
    /// The pointers are to strings of these.
    program: Arc<Program>,
    #[expect(dead_code, reason = "used by pointers")]
    own_variables: Vec<CString>,
}

#[repr(align(16))]
struct Stack(#[expect(dead_code, reason = "used by its address")] [u8; STACK_BYTES]);

/// The memory of a process that was started. The owner keeps it until the process has ended.
#[derive(Debug)]
pub(super) struct StartMemory(NonNull<Plan>);

// SAFETY: after the start, this process reads only `error`, which is atomic, and drops the rest when
// the other process has ended. Nothing in a plan belongs to a thread.
unsafe impl Send for StartMemory {}
// SAFETY: as above.
unsafe impl Sync for StartMemory {}

/// Starts a program as the leader of a new process group, with default signals and no descriptors
/// but its standard streams.
///
/// If the program cannot be run, the process ends, and its memory has the error.
pub(super) fn start(
    program: &Arc<Program>,
    variables: Vec<CString>,
    streams: [BorrowedFd<'_>; 2],
) -> io::Result<New> {
    // A descriptor of a standard stream would be replaced before it is used.
    let above = streams.map(|fd| match fd.as_raw_fd() {
        0..FIRST_OTHER_FD => rustix::io::fcntl_dupfd_cloexec(fd, FIRST_OTHER_FD).map(Some),
        _ => Ok(None),
    });
    let [first, second] = above;
    let above = [first?, second?];
    let [stdin, stdout] = [0, 1].map(|n| above[n].as_ref().map_or(streams[n], AsFd::as_fd));
    let memory = StartMemory::plan(program, variables, [stdin, stdout]);
    let (pid, pidfd) = memory.clone_process()?;
    Ok(New { pid, pidfd, memory })
}

fn pointers<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<*const c_char> {
    strings.map(CStr::as_ptr).chain([ptr::null()]).collect()
}

/// Returns the soft and the hard limit.
fn limit(max_files: u64) -> [u64; 2] {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    [hard.min(max_files), hard]
}

impl StartMemory {
    fn plan(program: &Arc<Program>, variables: Vec<CString>, streams: [BorrowedFd<'_>; 2]) -> Self {
        program.dispositions.find();
        let script = [SHELL, &program.path];
        let rest = program.args.iter().skip(1).map(CString::as_c_str);
        let plan = Plan {
            path: program.path.as_ptr(),
            args: pointers(program.args.iter().map(CString::as_c_str)),
            shell_args: pointers(script.into_iter().chain(rest)),
            variables: pointers(program.variables_with(&variables)),
            streams: streams.map(|fd| fd.as_raw_fd()),
            limit: program.max_files.map(limit),
            error: AtomicI32::new(0),
            stack: MaybeUninit::uninit(),
            program: program.clone(),
            own_variables: variables,
        };
        Self(NonNull::from(Box::leak(Box::new(plan))))
    }

    /// Returns the error because of which the program does not run, once the process has ended.
    pub(super) fn error(&self) -> Option<io::Error> {
        // SAFETY: the plan is valid until the drop, and the new process reads it, too.
        let error = unsafe { self.0.as_ref() }.error.load(Ordering::Acquire);
        (error != 0).then(|| io::Error::from_raw_os_error(error))
    }

    /// Makes the process. Returns its pid and its pidfd.
    fn clone_process(&self) -> io::Result<(Pid, Option<OwnedFd>)> {
        // Other systems than these two need errno, which the new process shares with this thread,
        // so this thread has to wait. An emulator may have no other way either.
        let cloned = if IS_ERRNO_FREE {
            self.clone_with(0)
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        };
        match cloned {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.clone_with(libc::CLONE_VFORK)
            }
            cloned => cloned,
        }
    }

    fn clone_with(&self, flags: c_int) -> io::Result<(Pid, Option<OwnedFd>)> {
        let flags = flags | libc::CLONE_VM | libc::CLONE_PIDFD | libc::SIGCHLD;
        let mut pidfd: c_int = -1;
        let plan = self.0.as_ptr();
        // A handler must not run in the new process, which has the memory of this one.
        let blocked = block_signals();
        // SAFETY: `run` gets a plan that stays valid until the process has ended, with a stack that
        // only the process uses, and that grows down from its end, which is aligned. Until it runs
        // the program, the process uses no other memory of this one, and no thread-local state.
        let pid = unsafe {
            let stack = (&raw mut (*plan).stack).add(1).cast();
            libc::clone(run, stack, flags, plan.cast(), &raw mut pidfd)
        };
        let error = io::Error::last_os_error();
        restore_signals(&blocked);
        let pid = Pid::from_raw(pid.max(0)).ok_or(error)?;
        // SAFETY: the kernel has made this descriptor for this call.
        let pidfd = (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
        Ok((pid, pidfd))
    }
}

impl Drop for StartMemory {
    fn drop(&mut self) {
        // SAFETY: the pointer is from a box. The owner drops this when the process has ended.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// Blocks all signals of this thread. Returns those that were blocked before.
fn block_signals() -> libc::sigset_t {
    let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: the calls make both sets valid. Only this thread is changed.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::sigemptyset(before.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: the set is valid.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, ptr::null_mut()) };
}

/// The new process.
extern "C" fn run(plan: *mut c_void) -> c_int {
    // SAFETY: `clone_with` passes a plan. All of it but `error` stays as it is.
    let plan = unsafe { &*plan.cast::<Plan>() };
    if let Err(error) = plan.execute() {
        plan.error.store(error, Ordering::Release);
    }
    // The code is not used if there is an error.
    loop {
        let _ = call(libc::SYS_exit_group, [127, 0, 0, 0]);
    }
}

/// Makes a system call in the new process.
fn call(number: c_long, args: [usize; 4]) -> Result<usize, c_int> {
    // SAFETY: only the new process makes these calls, by `Plan::execute`. They change this process
    // only: it has one thread, and its own descriptors and signals. Pointers are to memory of the
    // size that the kernel uses.
    unsafe { syscall(number, args) }
}

fn address<T>(of: &T) -> usize {
    ptr::from_ref(of).expose_provenance()
}

impl Plan {
    /// Prepares this process and runs the program. Returns the error if that fails.
    ///
    /// The memory is that of the parent, with its locks: nothing may be allocated or locked here.
    fn execute(&self) -> Result<(), c_int> {
        call(libc::SYS_setpgid, [0; 4])?;
        if let Some(limit) = &self.limit {
            let resource = libc::RLIMIT_NOFILE as usize;
            call(libc::SYS_prlimit64, [0, resource, address(limit), 0])?;
        }
        for (to, stream) in self.streams.iter().enumerate() {
            call(libc::SYS_dup3, [stream.unsigned_abs() as usize, to, 0, 0])?;
        }
        // Fails with kernels before 5.11, where the descriptors of other code may be left.
        let (first, last) = (FIRST_OTHER_FD.unsigned_abs() as usize, u32::MAX as usize);
        let flags = libc::CLOSE_RANGE_CLOEXEC as usize;
        let _ = call(libc::SYS_close_range, [first, last, flags, 0]);
        self.reset_signals()?;

        let path = self.path.expose_provenance();
        let variables = self.variables.as_ptr().expose_provenance();
        match call(
            libc::SYS_execve,
            [path, self.args.as_ptr().expose_provenance(), variables, 0],
        ) {
            Err(libc::ENOEXEC) => {
                let args = self.shell_args.as_ptr().expose_provenance();
                call(
                    libc::SYS_execve,
                    [SHELL.as_ptr().expose_provenance(), args, variables, 0],
                )
            }
            failed => failed,
        }?;
        Ok(())
    }

    /// Sets signals to their default and unblocks all.
    fn reset_signals(&self) -> Result<(), c_int> {
        for &signal in self.program.dispositions.get() {
            set_default(signal)?;
        }
        // A handler that was set later must not run here either. After this, signals come only to
        // the pid of this process, which only its parent knows yet.
        let mut pending: SignalSet = Default::default();
        let size = size_of::<SignalSet>();
        let at = ptr::from_mut(&mut pending).expose_provenance();
        call(libc::SYS_rt_sigpending, [at, size, 0, 0])?;
        for signal in 1..=MAX_SIGNAL {
            let bit = signal.unsigned_abs() as usize - 1;
            if pending[bit / 64] >> (bit % 64) & 1 == 1 {
                set_default(signal)?;
            }
        }
        let none: SignalSet = Default::default();
        let how = libc::SIG_SETMASK.unsigned_abs() as usize;
        call(libc::SYS_rt_sigprocmask, [how, address(&none), 0, size])?;
        Ok(())
    }
}

fn set_default(signal: c_int) -> Result<(), c_int> {
    let args = [
        signal.unsigned_abs() as usize,
        address(&DEFAULT_ACTION),
        0,
        size_of::<SignalSet>(),
    ];
    call(libc::SYS_rt_sigaction, args).map(drop)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io::Read;

    use rustix::process::{WaitOptions, waitpid};

    use super::*;

    /// Runs `echo hello` from this path. Returns its output and its error.
    fn run_echo(path: &CStr, flags: c_int) -> (String, Option<io::Error>) {
        let mut program = Program::find(OsStr::new("echo")).expect("echo");
        program.add_arg(OsStr::new("hello")).expect("no zero byte");
        if !path.is_empty() {
            program.path = path.to_owned();
        }
        let (mut output, stdout) = io::pipe().expect("a pipe");
        let stdin = File::open("/dev/null").expect("it is there");
        let streams = [stdin.as_fd(), stdout.as_fd()];
        let memory = StartMemory::plan(&Arc::new(program), Vec::new(), streams);
        let (pid, pidfd) = memory.clone_with(flags).expect("no lack");
        drop((stdout, pidfd));
        let mut text = String::new();
        output.read_to_string(&mut text).expect("text");
        let ended = waitpid(Some(pid), WaitOptions::empty()).expect("a child");
        let (_, status) = ended.expect("not without waiting");
        assert_eq!(
            status.exit_status(),
            Some(if text.is_empty() { 127 } else { 0 })
        );
        (text, memory.error())
    }

    /// Some architectures, kernels and emulators need the flag.
    #[test]
    fn a_process_runs_its_program_beside_this_one_or_before_it_goes_on() {
        for flags in [0, libc::CLONE_VFORK] {
            let (output, error) = run_echo(c"", flags);
            assert_eq!(output, "hello\n");
            assert!(error.is_none(), "{error:?}");
        }
    }

    /// A handler of a server must not run in the new process, which has the server's memory.
    #[test]
    fn a_signal_is_default_that_was_changed_after_the_program_was_found() {
        let program = Arc::new(Program::find(OsStr::new("true")).expect("it is there"));
        // SAFETY: a signal of terminals, which nothing here handles.
        let before = unsafe { libc::signal(libc::SIGWINCH, libc::SIG_IGN) };
        let stdin = File::open("/dev/null").expect("it is there");
        let memory = StartMemory::plan(&program, Vec::new(), [stdin.as_fd(), stdin.as_fd()]);
        // SAFETY: as above.
        unsafe { libc::signal(libc::SIGWINCH, before) };
        assert!(program.dispositions.get().contains(&libc::SIGWINCH));
        drop(memory);
    }

    #[test]
    fn the_error_of_a_program_that_cannot_run_is_read_after_its_end() {
        for flags in [0, libc::CLONE_VFORK] {
            for (path, code) in [(c"/no-such-file", libc::ENOENT), (c"/", libc::EACCES)] {
                let (output, error) = run_echo(path, flags);
                assert!(output.is_empty());
                assert_eq!(error.expect("no such program").raw_os_error(), Some(code));
            }
        }
    }
}
