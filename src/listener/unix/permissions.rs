//! Sets the mode and the owner of a Unix socket's file.

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

use crate::address::{Access, Owner};
use crate::descriptor::FileId;

/// An [`Access`] that sets anything, with its names resolved to ids.
pub(super) struct ResolvedAccess {
    mode: Option<u32>,
    user: Option<Uid>,
    group: Option<Gid>,
}

impl ResolvedAccess {
    /// Resolves the names. Returns None for the defaults of a new file.
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

    /// Sets the owner, then the mode of a socket's file. Fails if another file has taken its place.
    pub(super) fn apply(&self, path: &Path, id: FileId) -> io::Result<()> {
        let file = PinnedFile::open(path, id)?;
        if self.user.is_some() || self.group.is_some() {
            file.chown(self.user, self.group)
                .map_err(|error| with_action("give the socket to its owner", &error))?;
        }
        file.chmod(self.mode)
            .map_err(|error| with_action("set the mode of the socket", &error))
    }
}

/// Makes bind create the socket's file without any permission.
///
/// Connections are refused before listen in any case. But a connect checks the permissions first and
/// the listener later: it could check the permissions before they are set, and the listener after.
#[cfg(target_os = "linux")]
pub(super) fn deny_all(socket: &OwnedFd) -> io::Result<()> {
    Ok(rustix::fs::fchmod(socket, Mode::empty())?)
}

/// Other systems ignore the mode of a socket, so a client can connect before the mode is set.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps, reason = "as on Linux")]
pub(super) fn deny_all(_: &OwnedFd) -> io::Result<()> {
    Ok(())
}

/// A descriptor of the file itself. Its path may refer to another file by now, or to a link.
#[cfg(target_os = "linux")]
struct PinnedFile<'a> {
    file: OwnedFd,
    path: &'a Path,
    id: FileId,
}

#[cfg(target_os = "linux")]
impl<'a> PinnedFile<'a> {
    fn open(path: &'a Path, id: FileId) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = open(path, flags, Mode::empty())?;
        if FileId::of(&file)? == id {
            Ok(Self { file, path, id })
        } else {
            Err(Errno::ADDRINUSE.into())
        }
    }

    fn chown(&self, user: Option<Uid>, group: Option<Gid>) -> io::Result<()> {
        Ok(chownat(&self.file, "", user, group, AtFlags::EMPTY_PATH)?)
    }

    fn chmod(&self, mode: Option<u32>) -> io::Result<()> {
        let mode = mode.map_or_else(|| default_mode(folder(self.path)), Ok)?;
        // fchmod fails on a descriptor opened with O_PATH.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        match set_permissions(path, Permissions::from_mode(mode)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.chmod_by_name(mode),
            set => set,
        }
    }

    /// Sets the mode without `/proc`. Requires a directory in which only this user and root can
    /// replace the file.
    fn chmod_by_name(&self, mode: u32) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(folder(self.path), flags, Mode::empty())?;
        let rights = fstat(&folder)?;
        let is_trusted = rights.st_uid == 0 || rights.st_uid == geteuid().as_raw();
        if !is_trusted || rights.st_mode & 0o022 != 0 {
            let message = "others can write to its directory, and there is no /proc";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        let name = self.path.file_name().unwrap_or_default();
        let found = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileId::of_stat(&found) != self.id {
            return Err(Errno::ADDRINUSE.into());
        }
        let mode = Mode::from_raw_mode(mode);
        Ok(chmodat(&folder, name, mode, AtFlags::empty())?)
    }
}

/// Returns the directory of a file; for a bare name, the current directory.
#[cfg(target_os = "linux")]
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Returns the mode of a new file in this directory. The umask can be read without changing it only
/// in `/proc`; if that is missing, the mode of a temporary unnamed file shows it.
#[cfg(target_os = "linux")]
fn default_mode(folder: &Path) -> io::Result<u32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    if let Some(umask) = umask.and_then(|umask| u32::from_str_radix(umask.trim(), 8).ok()) {
        return Ok(0o777 & !umask);
    }
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let unnamed = open(folder, flags, Mode::from_raw_mode(0o777))?;
    Ok(fstat(&unnamed)?.st_mode & 0o777)
}

/// Other systems set mode and owner by path only.
#[cfg(not(target_os = "linux"))]
struct PinnedFile<'a>(&'a Path);

#[cfg(not(target_os = "linux"))]
impl<'a> PinnedFile<'a> {
    #[allow(clippy::unnecessary_wraps, reason = "as on Linux")]
    fn open(path: &'a Path, _: FileId) -> io::Result<Self> {
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
    let message = format!("there is no {what} called '{name}'");
    io::Error::new(io::ErrorKind::NotFound, message)
}

fn with_action(action: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {action}: {error}"))
}
