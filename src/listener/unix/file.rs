//! The file of a Unix socket that listens: made, given its mode and owner, removed.

use std::fs::{Permissions, set_permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{self, Path, PathBuf};

use nix::unistd::{Group, User};
use rustix::fs::{AtFlags, FileType, Gid, Stat, Uid, chownat, lstat, unlink};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix};

use super::lock::Lock;
use crate::address::{Access, Owner};
use crate::listener::socket::{self, SocketListener};

/// The file of a socket that listens, removed when this is dropped, unless another one has taken
/// its place.
pub(in crate::listener) struct SocketFile {
    /// Also when the process changes its directory.
    path: PathBuf,
    id: Id,
}

/// What tells a file from all others.
type Id = (u64, u64);

/// Whose a file is to be.
struct Ids {
    user: Option<Uid>,
    group: Option<Gid>,
}

/// Listens at a path.
///
/// Nobody can connect before mode and owner are set, as nobody can before we listen. A file that
/// somebody left behind is replaced. Who is about to listen has such a file, too: so all of us
/// hold a lock from before there is a file until we listen.
pub(super) fn listen(path: &Path, access: &Access) -> io::Result<SocketListener> {
    let name = super::path_name(path)?;
    let ids = Ids::look_up(access)?;
    let _lock = Lock::take(path)?;
    let socket = socket::stream(AddressFamily::UNIX)?;
    match rustix::net::bind(&socket, &name) {
        Err(Errno::ADDRINUSE) => {
            remove_stale(path, &name)?;
            rustix::net::bind(&socket, &name)?;
        }
        bound => bound?,
    }
    let file = SocketFile::find(path)?;
    file.admit(access, &ids)?;
    SocketListener::open(socket, Some(file))
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
        Err(error) => return Err(error.into()),
    }
    match look(path)? {
        Some(now) if id(&now) == id(&found) => Ok(unlink(path)?),
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
            id: id(&found),
        })
    }

    /// Sets its mode and its owner. A file that somebody has put in its place is left alone.
    fn admit(&self, access: &Access, ids: &Ids) -> io::Result<()> {
        if *access == Access::default() {
            return Ok(());
        }
        let held = Held::new(self)?;
        if ids.user.is_some() || ids.group.is_some() {
            held.chown(ids)
                .map_err(|error| failed("give the socket to its owner", &error))?;
        }
        if let Some(mode) = access.mode {
            held.chmod(mode)
                .map_err(|error| failed("set the mode of the socket", &error))?;
        }
        Ok(())
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Ok(Some(now)) = look(&self.path)
            && id(&now) == self.id
        {
            let _ = unlink(&self.path);
        }
    }
}

/// A hold on the file itself: what has its name may be another one by now, or a link to anything.
#[cfg(target_os = "linux")]
struct Held(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Held {
    fn new(file: &SocketFile) -> io::Result<Self> {
        use rustix::fs::{Mode, OFlags, fstat, open};
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = open(&file.path, flags, Mode::empty())?;
        if id(&fstat(&held)?) == file.id {
            Ok(Self(held))
        } else {
            Err(Errno::ADDRINUSE.into())
        }
    }

    fn chown(&self, ids: &Ids) -> io::Result<()> {
        Ok(chownat(
            &self.0,
            "",
            ids.user,
            ids.group,
            AtFlags::EMPTY_PATH,
        )?)
    }

    fn chmod(&self, mode: u32) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        // There is no such call on a descriptor that was opened so.
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        set_permissions(path, Permissions::from_mode(mode))
    }
}

/// Other systems have only the name.
#[cfg(not(target_os = "linux"))]
struct Held<'a>(&'a Path);

#[cfg(not(target_os = "linux"))]
impl<'a> Held<'a> {
    #[allow(clippy::unnecessary_wraps, reason = "as on Linux")]
    fn new(file: &'a SocketFile) -> io::Result<Self> {
        Ok(Self(&file.path))
    }

    fn chown(&self, ids: &Ids) -> io::Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(chownat(
            rustix::fs::CWD,
            self.0,
            ids.user,
            ids.group,
            flags,
        )?)
    }

    fn chmod(&self, mode: u32) -> io::Result<()> {
        set_permissions(self.0, Permissions::from_mode(mode))
    }
}

impl Ids {
    fn look_up(access: &Access) -> io::Result<Self> {
        let user = access.user.as_ref().map(|user| match user {
            Owner::Number(number) => Ok(*number),
            Owner::Name(name) => User::from_name(name)?
                .map(|user| user.uid.as_raw())
                .ok_or_else(|| unknown("user", name)),
        });
        let group = access.group.as_ref().map(|group| match group {
            Owner::Number(number) => Ok(*number),
            Owner::Name(name) => Group::from_name(name)?
                .map(|group| group.gid.as_raw())
                .ok_or_else(|| unknown("group", name)),
        });
        Ok(Self {
            user: user.transpose()?.map(Uid::from_raw),
            group: group.transpose()?.map(Gid::from_raw),
        })
    }
}

fn unknown(what: &str, name: &str) -> io::Error {
    let problem = format!("there is no {what} called '{name}'");
    io::Error::new(io::ErrorKind::NotFound, problem)
}

fn failed(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what}: {error}"))
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

#[allow(clippy::useless_conversion, reason = "not on every system")]
fn id(file: &Stat) -> Id {
    (file.st_dev.into(), file.st_ino.into())
}
