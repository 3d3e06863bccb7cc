//! Who may connect to a Unix socket with a path: the mode and the owner of its file.

use std::fs::{Permissions, set_permissions};
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::{Group, User};
use rustix::fs::{AtFlags, Gid, Uid, chownat};
#[cfg(target_os = "linux")]
use rustix::fs::{Mode, OFlags, chmodat, fstat, open, statat};
#[cfg(target_os = "linux")]
use rustix::{io::Errno, process::geteuid};

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
        Ok(rustix::fs::fchmod(socket, Mode::empty())?)
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
struct Held<'a> {
    file: OwnedFd,
    path: &'a Path,
    id: Id,
}

#[cfg(target_os = "linux")]
impl<'a> Held<'a> {
    fn new(path: &'a Path, id: Id) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = open(path, flags, Mode::empty())?;
        if Id::of(&fstat(&file)?) == id {
            Ok(Self { file, path, id })
        } else {
            Err(Errno::ADDRINUSE.into())
        }
    }

    fn chown(&self, user: Option<Uid>, group: Option<Gid>) -> io::Result<()> {
        Ok(chownat(&self.file, "", user, group, AtFlags::EMPTY_PATH)?)
    }

    fn chmod(&self, mode: Option<u32>) -> io::Result<()> {
        let mode = mode.map_or_else(|| usual_mode(folder(self.path)), Ok)?;
        // There is no such call on a descriptor that was opened so.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        match set_permissions(path, Permissions::from_mode(mode)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.chmod_by_name(mode),
            set => set,
        }
    }

    /// Where there is no `/proc`: in a directory in which only this user and root can put another file
    /// in the place of ours.
    fn chmod_by_name(&self, mode: u32) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(folder(self.path), flags, Mode::empty())?;
        let rights = fstat(&folder)?;
        let is_ours = rights.st_uid == 0 || rights.st_uid == geteuid().as_raw();
        if !is_ours || rights.st_mode & 0o022 != 0 {
            let problem = "others can write to its directory, and there is no /proc";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
        }
        let name = self.path.file_name().unwrap_or_default();
        if Id::of(&statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?) != self.id {
            return Err(Errno::ADDRINUSE.into());
        }
        let mode = Mode::from_raw_mode(mode);
        Ok(chmodat(&folder, name, mode, AtFlags::empty())?)
    }
}

/// The directory of a file; of a bare name, the current one.
#[cfg(target_os = "linux")]
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// That of a new file in this directory. The kernel reports the umask only in `/proc` without a change
/// of it; where there is none, a file without a name shows it.
#[cfg(target_os = "linux")]
fn usual_mode(folder: &Path) -> io::Result<u32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    if let Some(umask) = umask.and_then(|umask| u32::from_str_radix(umask.trim(), 8).ok()) {
        return Ok(0o777 & !umask);
    }
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let nameless = open(folder, flags, Mode::from_raw_mode(0o777))?;
    Ok(fstat(&nameless)?.st_mode & 0o777)
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
