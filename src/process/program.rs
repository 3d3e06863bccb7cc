//! `Program`: a program that is found once and started many times, with given standard streams.

use std::env;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{self, Path};
use std::process::ExitStatus;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal};

use super::child_process::ChildProcess;
use super::dispositions::{Dispositions, keep_exit_statuses};
use super::exit::Exit;
use super::orphans;
use super::start::{StartMemory, start};

/// The search path if `PATH` is not set, as that of execvp(3).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A program and its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Absolute.
    pub(super) path: CString,
    /// The first argument is the name of the program.
    pub(super) args: Vec<CString>,
    /// Variables, each as `NAME=value`.
    pub(super) variables: Vec<CString>,
    /// The soft limit of open files.
    pub(super) max_files: Option<u64>,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "used on Linux"))]
    pub(super) dispositions: Dispositions,
}

/// A process that was started from a [`Program`]. When it is dropped, the process is killed if it
/// still runs, with its group, and reaped.
pub(crate) struct Started {
    program: Arc<Program>,
    process: Arc<ChildProcess>,
    exit: Exit,
}

/// A process as `start` returns it.
pub(super) struct New {
    pub(super) pid: Pid,
    /// None if the system has no pidfds.
    pub(super) pidfd: Option<OwnedFd>,
    pub(super) memory: StartMemory,
}

/// A reference to a process that does not keep it running.
#[derive(Default)]
pub(crate) struct StartedRef(Weak<ChildProcess>);

impl Program {
    /// Finds a program, as execvp(3) does: a name without a slash is searched for in `PATH`. From now
    /// on the system keeps exit statuses.
    pub(crate) fn find(name: &OsStr) -> io::Result<Self> {
        let path = if name.as_bytes().contains(&b'/') {
            let path = path::absolute(name)?;
            check(&path).map_err(|error| named(&error, name))?;
            path
        } else {
            search(name)?
        };
        keep_exit_statuses();
        Ok(Self {
            path: c_string(path.into_os_string())?,
            args: vec![c_string(name.to_owned())?],
            variables: Vec::new(),
            max_files: None,
            dispositions: Dispositions::default(),
        })
    }

    pub(crate) fn add_arg(&mut self, arg: &OsStr) -> io::Result<()> {
        self.args.push(c_string(arg.to_owned())?);
        Ok(())
    }

    /// Sets a variable. An earlier value is replaced.
    pub(crate) fn set_variable(&mut self, name: &OsStr, value: &OsStr) -> io::Result<()> {
        self.remove_variable(name);
        self.variables.push(variable(name, value)?);
        Ok(())
    }

    pub(crate) fn remove_variable(&mut self, name: &OsStr) {
        self.variables.retain(|variable| name_of(variable) != name);
    }

    /// Sets the soft limit of open files, at most to the hard limit.
    pub(crate) fn limit_open_files(&mut self, max_files: u64) {
        self.max_files = Some(max_files);
    }

    /// Starts the program with these descriptors as standard input and output, and with these
    /// variables, which replace its own of the same name.
    ///
    /// On Linux this does not wait for the program: if it cannot be run, the process ends, and
    /// [`Started::poll_exit`] returns the error.
    pub(crate) fn start(
        self: &Arc<Self>,
        variables: Vec<CString>,
        streams: [BorrowedFd<'_>; 2],
    ) -> io::Result<Started> {
        let started = orphans::start(|| start(self, variables, streams), |new| new.pid);
        let New { pid, pidfd, memory } = started.map_err(|error| self.named(&error))?;
        let process = ChildProcess::new(pid, Some(memory));
        Ok(Started {
            program: self.clone(),
            exit: Exit::with_pidfd(process.clone(), pidfd),
            process,
        })
    }

    /// The variables, with `others`, which replace those of the same name.
    pub(super) fn variables_with<'a>(
        &'a self,
        others: &'a [CString],
    ) -> impl Iterator<Item = &'a CStr> {
        let is_kept = |own: &&CString| others.iter().all(|other| name_of(other) != name_of(own));
        let kept = self.variables.iter().filter(is_kept);
        kept.chain(others).map(CString::as_c_str)
    }

    fn named(&self, error: &io::Error) -> io::Error {
        named(error, OsStr::from_bytes(self.path.as_bytes()))
    }
}

impl Started {
    /// The process id, which is also the id of its process group.
    pub(crate) fn id(&self) -> u32 {
        self.process.pid().as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits for the exit of the process, which stays a zombie. Fails if it never ran the program.
    pub(crate) fn poll_exit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        let status = ready!(self.exit.poll(cx))?;
        Poll::Ready(match self.process.start_error() {
            Some(error) => Err(self.program.named(&error)),
            None => Ok(status),
        })
    }

    /// Kills what is left of the group.
    pub(crate) fn kill_rest(&self) {
        self.process.signal_group(Signal::KILL);
    }

    pub(crate) fn downgrade(&self) -> StartedRef {
        StartedRef(Arc::downgrade(&self.process))
    }
}

impl Drop for Started {
    /// Kills the group, also if the process has exited and others are left.
    fn drop(&mut self) {
        self.kill_rest();
    }
}

impl StartedRef {
    /// Kills the process and its group, if it is not reaped.
    pub(crate) fn kill(&self) {
        if let Some(process) = self.0.upgrade() {
            process.kill();
        }
    }

    /// Asks the processes of the group to end, by SIGTERM. Returns false if the process is gone.
    pub(crate) fn terminate(&self) -> bool {
        let process = self.0.upgrade();
        let running = process.filter(|process| matches!(process.status(), Ok(None)));
        running
            .inspect(|process| process.signal_group(Signal::TERM))
            .is_some()
    }
}

/// Makes a variable for [`Program::start`].
pub(crate) fn variable(name: &OsStr, value: &OsStr) -> io::Result<CString> {
    let mut text = name.to_owned();
    text.push("=");
    text.push(value);
    c_string(text)
}

/// Returns the name of a variable.
pub(crate) fn name_of(variable: &CString) -> &OsStr {
    let bytes = variable.as_bytes();
    // A name is not empty, so a `=` at the beginning belongs to it.
    let rest = bytes.get(1..).unwrap_or(&[]);
    let length = rest.iter().position(|&byte| byte == b'=');
    OsStr::from_bytes(length.map_or(bytes, |length| &bytes[..=length]))
}

fn search(name: &OsStr) -> io::Result<path::PathBuf> {
    let dirs = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut refused = None;
    for dir in env::split_paths(&dirs).filter(|_| !name.is_empty()) {
        // An empty entry is the working directory, which may change.
        let path = path::absolute(Path::new(".").join(dir).join(name))?;
        match check(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                refused.get_or_insert(named(&error, &path));
            }
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| {
        let error = format!("{}: not found in PATH", name.display());
        io::Error::new(io::ErrorKind::NotFound, error)
    }))
}

/// Checks that a file can be run.
fn check(path: &Path) -> io::Result<()> {
    let metadata = path.metadata()?;
    if metadata.is_file() {
        return Ok(access(path, Access::EXEC_OK)?);
    }
    let kind = if metadata.is_dir() {
        "is a directory"
    } else {
        "not a file"
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, kind))
}

fn named(error: &io::Error, name: impl AsRef<OsStr>) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("{}: {error}", name.as_ref().display()),
    )
}

fn c_string(text: OsString) -> io::Result<CString> {
    CString::new(text.into_vec()).map_err(|error| {
        let text = OsString::from_vec(error.into_vec());
        let error = format!("contains a zero byte: {}", text.display());
        io::Error::new(io::ErrorKind::InvalidInput, error)
    })
}
