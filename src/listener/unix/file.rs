//! Listens on a path: replaces a stale file, and removes its own at the end.

use std::io;
use std::path::{self, Path, PathBuf};

use rustix::fs::{FileType, Stat, lstat, unlink};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix};
use rustix::process::geteuid;

use super::lock::{self, PathLock};
use super::permissions::{ResolvedAccess, deny_all};
use crate::address::{Access, ListenOptions};
use crate::connection::{Endpoint, UnixName};
use crate::descriptor::FileId;
use crate::listener::socket::{self, SocketListener};

/// The file of a listening socket. Removed on drop, unless another file has taken its place.
#[derive(Debug)]
pub(in crate::listener) struct SocketFile {
    /// Absolute, so that it stays valid when the process changes its directory.
    path: PathBuf,
    id: FileId,
    /// Set if the drop leaves the file in place.
    is_kept: bool,
}

/// Listens on a path.
///
/// A stale file is replaced. The file of a server that has bound its socket but does not listen yet
/// looks stale, too, so each server holds a lock from before it binds until it listens.
pub(super) fn listen(path: &Path, access: &Access) -> io::Result<SocketListener> {
    let name = super::path_name(path)?;
    let access = ResolvedAccess::of(access)?;
    let _lock = PathLock::take(path)?;
    let socket = socket::stream(AddressFamily::UNIX)?;
    if access.is_some() {
        deny_all(&socket)?;
    }
    match rustix::net::bind(&socket, &name) {
        Err(Errno::ADDRINUSE) => {
            remove_stale(path, &name)?;
            rustix::net::bind(&socket, &name)?;
        }
        bound => bound?,
    }
    let file = SocketFile::find(path)?;
    if let Some(access) = access {
        access.apply(&file.path, file.id)?;
    }
    SocketListener::open_with_file(socket, ListenOptions::default().backlog, Some(file))
}

/// Checks that a file can be made for a socket, as far as that is seen without making it.
pub(super) fn check(path: &Path, access: &Access) -> io::Result<()> {
    super::path_name(path)?;
    ResolvedAccess::of(access)?;
    lock::check_directory(path)
}

/// Removes a stale file: the file of a socket that refuses connections.
///
/// The file is compared again before the removal, in case another server has replaced it since the
/// check. The time between the last two calls remains, for servers that do not use the lock.
fn remove_stale(path: &Path, name: &SocketAddrUnix) -> io::Result<()> {
    let Some(found) = look(path)? else {
        return Ok(());
    };
    if !is_socket(&found) {
        let message = "there is a file already, and it is not a socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    let probe = socket::stream(AddressFamily::UNIX)?;
    match rustix::net::connect(&probe, name) {
        Err(Errno::CONNREFUSED) => {}
        Err(Errno::NOENT) => return Ok(()),
        // A server listens: its backlog is full, or its socket has another type.
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS | Errno::PROTOTYPE) => {
            return Err(Errno::ADDRINUSE.into());
        }
        Err(Errno::ACCESS) if found.st_uid == geteuid().as_raw() => {
            let message = "there is a socket already, and its mode does not permit a check for a \
                server that listens: if there is none, remove it";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        Err(error) => return Err(error.into()),
    }
    match look(path)? {
        Some(now) if FileId::of_stat(&now) == FileId::of_stat(&found) => Ok(unlink(path)?),
        Some(_) => Err(Errno::ADDRINUSE.into()),
        None => Ok(()),
    }
}

impl SocketFile {
    /// Returns the file at the path that a socket listens on, if there is one. It is taken for that
    /// of the socket, which the system does not name.
    pub(in crate::listener) fn of(local: &Endpoint) -> io::Result<Option<Self>> {
        let Endpoint::Unix(UnixName::Path(path)) = local else {
            return Ok(None);
        };
        match look(path)? {
            Some(found) if is_socket(&found) => Self::find(path).map(Some),
            _ => Ok(None),
        }
    }

    /// Returns true unless the file was removed or another one has taken its place.
    pub(in crate::listener) fn is_in_place(&self) -> bool {
        let now = look(&self.path).ok().flatten();
        now.is_some_and(|now| FileId::of_stat(&now) == self.id)
    }

    /// Leaves the file in place.
    pub(in crate::listener) fn keep(mut self) {
        self.is_kept = true;
    }

    /// Returns the file of a socket that was just bound to a path.
    fn find(path: &Path) -> io::Result<Self> {
        let found = lstat(path)?;
        if !is_socket(&found) {
            return Err(Errno::ADDRINUSE.into());
        }
        Ok(Self {
            path: path::absolute(path)?,
            id: FileId::of_stat(&found),
            is_kept: false,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.is_kept && self.is_in_place() {
            let _ = unlink(&self.path);
        }
    }
}

/// Returns the status of a path, or None if there is no file. Does not follow links.
fn look(path: &Path) -> io::Result<Option<Stat>> {
    match lstat(path) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_socket(file: &Stat) -> bool {
    FileType::from_raw_mode(file.st_mode) == FileType::Socket
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::chown;
    use std::thread;

    use rustix::fs::Uid;

    use super::*;

    /// The mode of a socket can refuse connections of its owner.
    #[test]
    fn an_error_explains_a_file_that_cannot_be_checked() -> io::Result<()> {
        let dir = tempfile::tempdir_in("/tmp")?;
        let path = dir.path().join("socket");
        // Root may connect in any case.
        let user = 12345;
        let is_root = geteuid().is_root();
        if is_root {
            chown(dir.path(), Some(user), None)?;
        }
        thread::scope(|scope| {
            let by_user = scope.spawn(|| {
                if is_root {
                    let user = Uid::from_raw(user);
                    rustix::thread::set_thread_res_uid(user, user, user)?;
                }
                let socket = socket::stream(AddressFamily::UNIX)?;
                rustix::net::bind(&socket, &SocketAddrUnix::new(&path)?)?;
                drop(socket);
                rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0o060))?;
                io::Result::Ok(listen(&path, &Access::default()).err())
            });
            let error = by_user.join().expect("no panic")?.expect("it is refused");
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            assert!(error.to_string().ends_with("remove it"), "{error}");
            assert_eq!(fs::read_dir(dir.path())?.count(), 1, "it is still there");
            Ok(())
        })
    }
}
