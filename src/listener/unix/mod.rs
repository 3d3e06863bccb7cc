//! Unix stream sockets, by a path or by an abstract name.

mod file;
mod lock;
mod permissions;

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix};

use super::socket::{self, SocketListener};
use crate::address::{Access, ListenOptions};
use crate::blocking::unblock;

pub(super) use file::SocketFile;

/// The longest path or abstract name. One more byte of `sun_path` ends a path or begins a name.
const MAX_NAME_BYTES: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Listens on a path, unless another server does.
pub(super) async fn listen(path: &Path, access: &Access) -> io::Result<SocketListener> {
    let (path, access) = (path.to_owned(), access.clone());
    // On a thread: file systems and names of users may be on another machine.
    let listening = unblock(move || file::listen(&path, &access)).await;
    listening.map_err(|error| explain_in_use(error, "path"))
}

/// Checks a path, the directory of its file, and the names in the access.
pub(super) async fn check(path: &Path, access: &Access) -> io::Result<()> {
    let (path, access) = (path.to_owned(), access.clone());
    unblock(move || file::check(&path, &access)).await
}

/// Listens on an abstract name.
pub(super) fn listen_abstract(name: &[u8]) -> io::Result<SocketListener> {
    let socket = socket::stream(AddressFamily::UNIX)?;
    rustix::net::bind(&socket, &abstract_name(name)?)
        .map_err(|error| explain_in_use(error.into(), "name"))?;
    SocketListener::open(socket, ListenOptions::default().backlog)
}

/// Adds advice to the error of an address in use.
fn explain_in_use(error: io::Error, what: &str) -> io::Error {
    if error.kind() != io::ErrorKind::AddrInUse {
        return error;
    }
    let message = format!("it is in use: choose another {what}, or end the server that has it");
    io::Error::new(error.kind(), message)
}

/// Returns the socket address of a path.
pub(crate) fn path_name(path: &Path) -> io::Result<SocketAddrUnix> {
    let bytes = path.as_os_str().as_bytes();
    let message = if bytes.is_empty() {
        "the path is empty".to_owned()
    } else if bytes.contains(&0) {
        "the path has a NUL byte in it".to_owned()
    } else if bytes.len() > MAX_NAME_BYTES {
        too_long("path", bytes)
    } else {
        return Ok(SocketAddrUnix::new(path)?);
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// Returns the socket address of an abstract name.
#[cfg(target_os = "linux")]
pub(crate) fn abstract_name(name: &[u8]) -> io::Result<SocketAddrUnix> {
    let message = if name.is_empty() {
        "the name is empty".to_owned()
    } else if name.len() > MAX_NAME_BYTES {
        too_long("name", name)
    } else {
        return Ok(SocketAddrUnix::new_abstract_name(name)?);
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn abstract_name(_: &[u8]) -> io::Result<SocketAddrUnix> {
    let message = "only Linux has abstract names";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

fn too_long(what: &str, bytes: &[u8]) -> String {
    let length = bytes.len();
    format!("the {what} has {length} bytes, and that of a Unix socket may have {MAX_NAME_BYTES}")
}
