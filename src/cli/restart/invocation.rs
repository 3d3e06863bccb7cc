//! `Invocation`: how this process was started, to start its successor in the same way.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{self, Path, PathBuf};
use std::process::{Child, Command};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, getrlimit};

use super::super::inherited::RESTART_VARIABLE;
use super::described;

/// The variable of the old process that does not apply to the new one.
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The program, its arguments and its limit of open files.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Invocation {
    /// The path by which the program was started, so that a file that has replaced it is followed.
    pub(super) path: PathBuf,
    name: OsString,
    pub(super) args: Vec<OsString>,
    /// The soft limit of open files. None is unlimited.
    pub(super) open_files: Option<u64>,
}

impl Invocation {
    /// Describes this process. Called before the limit of open files is raised.
    pub(in crate::cli) fn of_this_process() -> Self {
        let mut words = env::args_os();
        let name = words.next().unwrap_or_default();
        Self {
            path: program(&name),
            name,
            args: words.collect(),
            open_files: getrlimit(Resource::Nofile).current,
        }
    }

    /// Starts the program again, with `channel` as an inherited descriptor. The environment, the
    /// standard streams, the working directory, the process group and ignored signals are the same.
    pub(super) fn start(&self, channel: BorrowedFd<'_>) -> io::Result<Child> {
        let mut command = Command::new(&self.path);
        command
            .arg0(&self.name)
            .args(&self.args)
            .env(RESTART_VARIABLE, channel.as_raw_fd().to_string())
            .env_remove(WATCHDOG_PID);
        // The children of a service inherit no descriptors, so this one does not reach them.
        fcntl_setfd(channel, FdFlags::empty())?;
        command.spawn().map_err(|error| {
            let path = self.path.display();
            io::Error::new(error.kind(), format!("{path}: {}", described(&error)))
        })
    }
}

/// Returns the path by which this program was started: `name`, or where it is found in `PATH`. If
/// another file is there, it is the path of the file that runs. Without proc(5), neither is known
/// for certain: then a file of the name is taken for the program.
fn program(name: &OsStr) -> PathBuf {
    let id = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    let running = id(Path::new("/proc/self/exe")).ok();
    let is_running = |path: &PathBuf| {
        let found = id(path).ok();
        found.is_some() && (running.is_none() || found == running)
    };
    let found = if name.as_bytes().contains(&b'/') {
        path::absolute(name).ok().filter(is_running)
    } else {
        let dirs = env::var_os("PATH").unwrap_or_default();
        let mut paths = env::split_paths(&dirs)
            .filter_map(|dir| path::absolute(Path::new(".").join(dir).join(name)).ok());
        paths.find(is_running)
    };
    found
        .or_else(|| env::current_exe().ok())
        .unwrap_or_else(|| name.into())
}
