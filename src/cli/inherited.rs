//! What whoever started us left open for us: taken over, and said to nobody else.
#![allow(unsafe_code)]

use std::env;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, RawFd};

use halves::listener::inherited::{receive, take};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat};

/// What a service manager says of the sockets that it hands over.
const LISTEN: [&str; 4] = [
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// Takes over the sockets that a service manager has handed over, and forgets what it says of
/// them: it is of no use to our children. To be called while there is one thread; where that is not
/// certain, it stays in the environment, where it names nobody but us.
pub(super) fn receive_sockets() {
    receive();
    if LISTEN.iter().all(|name| env::var_os(name).is_none()) || !is_alone() {
        return;
    }
    for name in LISTEN {
        // SAFETY: this is the only thread, so no other one reads or writes the environment, and
        // none begins before this one has returned.
        unsafe { env::remove_var(name) };
    }
}

/// Whether this thread is certainly the only one of the process.
fn is_alone() -> bool {
    fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// Takes over a descriptor that can be written to.
pub(super) fn writable(number: RawFd) -> io::Result<File> {
    let file = File::from(take(number)?);
    if fcntl_getfl(&file)?.intersects(OFlags::WRONLY | OFlags::RDWR) {
        Ok(file)
    } else {
        Err(io::Error::other("it is not open for writing"))
    }
}

/// Has standard error lead nowhere where it is the client's socket, as this one is: inetd makes all
/// three of one, and nothing that is said here is for the client. (That output and error are one
/// socket says nothing: under systemd both are that of the journal.)
pub(super) fn keep_log_from_client(client: impl AsFd) -> io::Result<()> {
    // What is not open is no socket.
    let (Ok(client), Ok(log)) = (fstat(client), fstat(io::stderr())) else {
        return Ok(());
    };
    let is_socket = FileType::from_raw_mode(log.st_mode) == FileType::Socket;
    if is_socket && (client.st_dev, client.st_ino) == (log.st_dev, log.st_ino) {
        let nowhere = File::options().write(true).open("/dev/null")?;
        rustix::stdio::dup2_stderr(nowhere)?;
    }
    Ok(())
}
