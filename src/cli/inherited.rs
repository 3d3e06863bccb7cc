//! Descriptors that the process inherits: taken over once, and not passed on to children.
#![allow(unsafe_code)]

use std::env;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use halves::listener::inherited::{receive, take};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};

/// The variables by which a service manager describes the sockets that it passes.
const LISTEN_VARIABLES: [&str; 4] = [
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// The variable with the number of the channel to the process that this one replaces.
pub(super) const RESTART_VARIABLE: &str = "HALVES_RESTART_FD";

/// Takes over the sockets that a service manager passes, and the channel to the process that this
/// one replaces, which it returns. Removes their variables from the environment, because children
/// have no use for them. The process must have one thread. If that is not certain, the variables
/// stay.
pub(super) fn receive_descriptors() -> Option<io::Result<OwnedFd>> {
    receive();
    let number = env::var(RESTART_VARIABLE).ok();
    let channel = number.map(|number| {
        let taken = match number.parse() {
            Ok(number) => take(number),
            Err(_) => Err(io::Error::other("not a number")),
        };
        taken.map_err(|error| io::Error::other(format!("{RESTART_VARIABLE}={number}: {error}")))
    });
    remove_variables();
    channel
}

fn remove_variables() {
    let names = || LISTEN_VARIABLES.into_iter().chain([RESTART_VARIABLE]);
    if names().all(|name| env::var_os(name).is_none()) || !is_single_threaded() {
        return;
    }
    for name in names() {
        // SAFETY: this is the only thread, so no other thread reads or writes the environment, and
        // no thread starts before this function returns.
        unsafe { env::remove_var(name) };
    }
}

/// Returns true if this is certainly the only thread of the process.
fn is_single_threaded() -> bool {
    fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// Takes over a descriptor that is open for writing.
pub(super) fn writable(number: RawFd) -> io::Result<File> {
    let file = File::from(take(number)?);
    if fcntl_getfl(&file)?.intersects(OFlags::WRONLY | OFlags::RDWR) {
        Ok(file)
    } else {
        Err(io::Error::other("it is not open for writing"))
    }
}

/// Connects standard error to /dev/null if it is the socket of this client: inetd makes one socket
/// all three standard streams, and the log is not for the client. (One socket as both standard
/// output and error is not enough: under systemd both are the journal's socket.)
pub(super) fn keep_log_from_client(client: impl AsFd) -> io::Result<()> {
    // A descriptor that is not open is no socket.
    let (Ok(client), Ok(log)) = (fstat(client), fstat(io::stderr())) else {
        return Ok(());
    };
    let is_socket = FileType::from_raw_mode(log.st_mode) == FileType::Socket;
    if is_socket && (client.st_dev, client.st_ino) == (log.st_dev, log.st_ino) {
        let null = File::options().write(true).open("/dev/null")?;
        rustix::stdio::dup2_stderr(null)?;
    }
    Ok(())
}
