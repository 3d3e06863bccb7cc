//! Who may connect to a Unix socket with a path: the mode and the owner of its file.

use std::fs::{Permissions, set_permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::{Group, User};
use rustix::fs::{AtFlags, Gid, Uid, chownat};

use super::file::Id;
use crate::address::{Access, Owner};

/// An [`Access`] that says something, with numbers for names.
pub(super) struct Admission {
    mode: Option<u32>,
    user: Option<Uid>,
    group: Option<Gid>,
}

impl Admission {
    /// None: it is as for any new file.
    pub(super) fn of(access: &Access) -> io::Result<Option<Self>> {
        if *access == Access::default() {
            return Ok(None);
        }
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
        Ok(Some(Self {
            mode: access.mode,
            user: user.transpose()?.map(Uid::from_raw),
            group: group.transpose()?.map(Gid::from_raw),
        }))
    }

    /// Has the file that is made of a socket be for nobody, until it is open to some.
    ///
    /// That nobody can connect before we listen is not enough: the system looks at the rights
    /// first, and whether anyone listens a moment later.
    #[cfg(target_os = "linux")]
    pub(super) fn shut(socket: &OwnedFd) -> io::Result<()> {
        Ok(rustix::fs::fchmod(socket, rustix::fs::Mode::empty())?)
    }

    /// The mode of a socket is of no consequence on other systems: that moment stays.
    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unnecessary_wraps, reason = "as on Linux")]
    pub(super) fn shut(_: &OwnedFd) -> io::Result<()> {
        Ok(())
    }

    /// Opens the file to those who may. One that somebody has put in its place is left alone.
    pub(super) fn open(&self, path: &Path, id: Id) -> io::Result<()> {
        let held = Held::new(path, id)?;
        if self.user.is_some() || self.group.is_some() {
            held.chown(self.user, self.group)
                .map_err(|error| failed("give the socket to its owner", &error))?;
        }
        held.chmod(self.mode)
            .map_err(|error| failed("set the mode of the socket", &error))
    }
}

/// A hold on the file itself: what has its name may be another one by now, or a link to anything.
#[cfg(target_os = "linux")]
struct Held(OwnedFd);

#[cfg(target_os = "linux")]
impl Held {
    fn new(path: &Path, id: Id) -> io::Result<Self> {
        use rustix::fs::{Mode, OFlags, fstat, open};
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = open(path, flags, Mode::empty())?;
        if Id::of(&fstat(&held)?) == id {
            Ok(Self(held))
        } else {
            Err(rustix::io::Errno::ADDRINUSE.into())
        }
    }

    fn chown(&self, user: Option<Uid>, group: Option<Gid>) -> io::Result<()> {
        Ok(chownat(&self.0, "", user, group, AtFlags::EMPTY_PATH)?)
    }

    fn chmod(&self, mode: Option<u32>) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        let mode = mode.map_or_else(usual_mode, Ok)?;
        // There is no such call on a descriptor that was opened so.
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        set_permissions(path, Permissions::from_mode(mode))
    }
}

/// That of a new file. The system tells the umask only here to those who do not change it.
#[cfg(target_os = "linux")]
fn usual_mode() -> io::Result<u32> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    let umask = umask.and_then(|umask| u32::from_str_radix(umask.trim(), 8).ok());
    let umask = umask.ok_or_else(|| io::Error::other("the umask is not known"))?;
    Ok(0o777 & !umask)
}

/// Other systems have only the name.
#[cfg(not(target_os = "linux"))]
struct Held<'a>(&'a Path);

#[cfg(not(target_os = "linux"))]
impl<'a> Held<'a> {
    #[allow(clippy::unnecessary_wraps, reason = "as on Linux")]
    fn new(path: &'a Path, _: Id) -> io::Result<Self> {
        Ok(Self(path))
    }

    fn chown(&self, user: Option<Uid>, group: Option<Gid>) -> io::Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(chownat(rustix::fs::CWD, self.0, user, group, flags)?)
    }

    fn chmod(&self, mode: Option<u32>) -> io::Result<()> {
        match mode {
            Some(mode) => set_permissions(self.0, Permissions::from_mode(mode)),
            None => Ok(()),
        }
    }
}

fn unknown(what: &str, name: &str) -> io::Error {
    let problem = format!("there is no {what} called '{name}'");
    io::Error::new(io::ErrorKind::NotFound, problem)
}

fn failed(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what}: {error}"))
}
