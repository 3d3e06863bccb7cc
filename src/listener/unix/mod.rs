//! Unix stream sockets, by a path or by an abstract name.

mod admit;
mod file;
mod lock;

use std::future;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use super::retry;
use super::socket::{self, SocketListener};
use crate::address::{Access, ListenOptions};
use crate::blocking::unblock;
use crate::connection::{Connection, Endpoint, Ownership};

pub(super) use file::SocketFile;

/// What `sun_path` has room for, in bytes, less the one that ends a path, or begins a name.
const LONGEST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Listens at a path, where nobody else does.
pub(super) async fn listen(path: &Path, access: &Access) -> io::Result<SocketListener> {
    let (path, access) = (path.to_owned(), access.clone());
    // File systems and the names of users may be on another machine.
    let listening = unblock(move || file::listen(&path, &access)).await;
    listening.map_err(|error| in_use(error, "path"))
}

/// Listens at an abstract name.
pub(super) fn listen_abstract(name: &[u8]) -> io::Result<SocketListener> {
    let socket = socket::stream(AddressFamily::UNIX)?;
    rustix::net::bind(&socket, &abstract_name(name)?)
        .map_err(|error| in_use(error.into(), "name"))?;
    SocketListener::open(socket, ListenOptions::default().backlog, None)
}

/// The error with what to do about it; any other as it is.
fn in_use(error: io::Error, what: &str) -> io::Error {
    if error.kind() != io::ErrorKind::AddrInUse {
        return error;
    }
    let problem = format!("it is in use: choose another {what}, or end the server that has it");
    io::Error::new(error.kind(), problem)
}

/// Connects to the one who listens there; waits while that one has 4,096 others to accept.
pub(super) async fn connect(to: SocketAddrUnix) -> io::Result<Connection> {
    let socket = socket::stream(AddressFamily::UNIX)?;
    // The kernel does not report when there is room: a blocking connect would wait for that, on a thread.
    let attempt = || future::ready(rustix::net::connect(&socket, &to).map_err(Into::into));
    retry::until_not(Errno::AGAIN, attempt).await?;
    let local = socket::local(&socket)?;
    let remote = Endpoint::of(SocketAddrAny::from(to));
    Ok(Connection::of_socket(
        socket,
        remote,
        local,
        Ownership::Ours,
    ))
}

/// The name of a path for the system.
pub(super) fn path_name(path: &Path) -> io::Result<SocketAddrUnix> {
    let bytes = path.as_os_str().as_bytes();
    let problem = if bytes.is_empty() {
        "the path is empty".to_owned()
    } else if bytes.contains(&0) {
        "the path has a NUL byte in it".to_owned()
    } else if bytes.len() > LONGEST {
        too_long("path", bytes)
    } else {
        return Ok(SocketAddrUnix::new(path)?);
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
}

/// An abstract name for the system.
#[cfg(target_os = "linux")]
pub(super) fn abstract_name(name: &[u8]) -> io::Result<SocketAddrUnix> {
    let problem = if name.is_empty() {
        "the name is empty".to_owned()
    } else if name.len() > LONGEST {
        too_long("name", name)
    } else {
        return Ok(SocketAddrUnix::new_abstract_name(name)?);
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn abstract_name(_: &[u8]) -> io::Result<SocketAddrUnix> {
    let problem = "only Linux has abstract names";
    Err(io::Error::new(io::ErrorKind::Unsupported, problem))
}

fn too_long(what: &str, bytes: &[u8]) -> String {
    let length = bytes.len();
    format!("the {what} has {length} bytes, and that of a Unix socket may have {LONGEST}")
}
