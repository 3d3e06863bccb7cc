//! The file of a Unix socket that listens: made where nobody else listens, removed at the end.

use std::io;
use std::path::{self, Path, PathBuf};

use rustix::fs::{FileType, Stat, lstat, unlink};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix};
use rustix::process::geteuid;

use super::admit::Admission;
use super::lock::Lock;
use crate::address::{Access, ListenOptions};
use crate::listener::socket::{self, SocketListener};

/// The file of a socket that listens, removed when this is dropped, unless another one has taken
/// its place.
pub(in crate::listener) struct SocketFile {
    /// Also when the process changes its directory.
    path: PathBuf,
    id: Id,
}

/// What tells a file from all others: the device and the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(u64, u64);

/// Listens at a path.
///
/// A file that somebody left behind is replaced. Who is about to listen has such a file, too: so
/// all of us hold a lock from before there is a file until we listen.
pub(super) fn listen(path: &Path, access: &Access) -> io::Result<SocketListener> {
    let name = super::path_name(path)?;
    let admission = Admission::of(access)?;
    let _lock = Lock::take(path)?;
    let socket = socket::stream(AddressFamily::UNIX)?;
    if admission.is_some() {
        Admission::shut(&socket)?;
    }
    match rustix::net::bind(&socket, &name) {
        Err(Errno::ADDRINUSE) => {
            remove_stale(path, &name)?;
            rustix::net::bind(&socket, &name)?;
        }
        bound => bound?,
    }
    let file = SocketFile::find(path)?;
    if let Some(admission) = admission {
        admission.open(&file.path, file.id)?;
    }
    SocketListener::open(socket, ListenOptions::default().backlog, Some(file))
}

/// Removes a socket's file that nobody listens at.
///
/// That is found out by connecting. Whoever began to listen there between that and the removal is
/// told by the file; what is left is the moment between two calls, and only for those who do not
/// take our lock.
fn remove_stale(path: &Path, name: &SocketAddrUnix) -> io::Result<()> {
    let Some(found) = look(path)? else {
        return Ok(());
    };
    if !is_socket(&found) {
        let problem = "there is a file already, and it is not a socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
    }
    let probe = socket::stream(AddressFamily::UNIX)?;
    match rustix::net::connect(&probe, name) {
        Err(Errno::CONNREFUSED) => {}
        Err(Errno::NOENT) => return Ok(()),
        // It has no room for one more, or is of another type: somebody is there.
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS | Errno::PROTOTYPE) => {
            return Err(Errno::ADDRINUSE.into());
        }
        Err(Errno::ACCESS) if found.st_uid == geteuid().as_raw() => {
            let problem = "there is a socket of this user's, whose mode keeps us from finding out \
                whether somebody listens: if nobody does, remove it";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
        }
        Err(error) => return Err(error.into()),
    }
    match look(path)? {
        Some(now) if Id::of(&now) == Id::of(&found) => Ok(unlink(path)?),
        Some(_) => Err(Errno::ADDRINUSE.into()),
        None => Ok(()),
    }
}

impl SocketFile {
    /// That of the socket that was just bound there.
    fn find(path: &Path) -> io::Result<Self> {
        let found = lstat(path)?;
        if !is_socket(&found) {
            return Err(Errno::ADDRINUSE.into());
        }
        Ok(Self {
            path: path::absolute(path)?,
            id: Id::of(&found),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Ok(Some(now)) = look(&self.path)
            && Id::of(&now) == self.id
        {
            let _ = unlink(&self.path);
        }
    }
}

impl Id {
    #[allow(clippy::useless_conversion, reason = "not on every system")]
    pub(super) fn of(file: &Stat) -> Self {
        Self(file.st_dev.into(), file.st_ino.into())
    }
}

/// What is there, if anything; of a link, the link itself.
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

    /// Its mode may keep even its owner from asking who listens, and then that is said.
    #[test]
    fn a_stale_file_that_may_not_be_asked_is_explained() -> io::Result<()> {
        let dir = tempfile::tempdir_in("/tmp")?;
        let path = dir.path().join("socket");
        // Root may ask in any case.
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
