//! A lock file: one server at a time starts to listen on a path.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    Access, FileType, FlockOperation, Mode, OFlags, Stat, access, flock, fstat, lstat, open, unlink,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::descriptor::FileId;

/// The lock of a path: a locked file `PATH.lock` beside it, removed on drop. The kernel releases
/// the lock if the process is killed. A file of that name that is not empty, or of another user, is
/// not a lock, and is never removed.
pub(super) struct PathLock {
    path: PathBuf,
    file: OwnedFd,
}

impl PathLock {
    /// Takes the lock without waiting. If it is taken, another server is about to listen on the
    /// path.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let path = lock_path(path);
        let lock = loop {
            match Self::try_take(&path, lock_exclusively) {
                Ok(None) => {}
                Ok(Some(lock)) => break Ok(lock),
                Err(error) => break Err(error),
            }
        };
        lock.map_err(|error| explain(&path, error))
    }

    /// Returns None if another process has removed the file since it was opened.
    fn try_take(
        path: &Path,
        lock: impl Fn(&OwnedFd) -> rustix::io::Result<()>,
    ) -> io::Result<Option<Self>> {
        let Some((file, is_new)) = open_or_create(path)? else {
            return Ok(None);
        };
        let opened = fstat(&file)?;
        let locked = if is_lock(&opened) {
            lock(&file).map_err(io::Error::from)
        } else {
            let message = "there is a file already that is not a lock: remove it, or choose \
                another path";
            Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
        };
        if let Err(error) = locked {
            if error.kind() == io::ErrorKind::WouldBlock {
                return Err(Errno::ADDRINUSE.into());
            }
            // The file system has no locks, or changes the owner of new files.
            if is_new && opened.st_size == 0 {
                let _ = unlink(path);
            }
            return Err(error);
        }
        match lstat(path) {
            Ok(current) if FileId::of_stat(&current) == FileId::of_stat(&opened) => {
                Ok(Some(Self {
                    path: path.to_owned(),
                    file,
                }))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        // Removed while it is locked. A process may have written to it meanwhile.
        if fstat(&self.file).is_ok_and(|file| is_lock(&file)) {
            let _ = unlink(&self.path);
        }
    }
}

/// Creates or opens the file. Returns it with true if it was created, or None if another process
/// has removed it meanwhile. Opening a device or a FIFO of that name has no effect on it.
fn open_or_create(path: &Path) -> io::Result<Option<(OwnedFd, bool)>> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    let new = flags | OFlags::CREATE | OFlags::EXCL;
    match open(path, new, Mode::RUSR | Mode::WUSR) {
        Err(Errno::EXIST) => {}
        created => return Ok(Some((created?, true))),
    }
    match open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => Ok(None),
        opened => Ok(Some((opened?, false))),
    }
}

fn lock_exclusively(file: &OwnedFd) -> rustix::io::Result<()> {
    flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// Checks that a file can be created in the directory of a path.
pub(super) fn check_directory(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(directory) => directory.join("."),
        None => ".".into(),
    };
    let checked = access(&directory, Access::WRITE_OK | Access::EXEC_OK);
    checked.map_err(|error| explain(&lock_path(path), error.into()))
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    name.into()
}

/// Adds the directory to an error that it causes, and the lock file to any other.
fn explain(lock: &Path, error: io::Error) -> io::Error {
    let dir = match lock.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.display(),
        _ => Path::new(".").display(),
    };
    let message = match error.kind() {
        // Another server is about to listen on the path.
        io::ErrorKind::AddrInUse => return error,
        io::ErrorKind::NotFound => format!("there is no directory {dir}"),
        io::ErrorKind::NotADirectory => format!("{dir} is not a directory"),
        io::ErrorKind::PermissionDenied if lstat(lock).is_err() => {
            format!("no permission to create a file in {dir}: choose another directory or user")
        }
        _ => format!("{}: {error}", lock.display()),
    };
    io::Error::new(error.kind(), message)
}

/// Returns true for an empty regular file of this user, which a lock is.
fn is_lock(file: &Stat) -> bool {
    FileType::from_raw_mode(file.st_mode) == FileType::RegularFile
        && file.st_size == 0
        && file.st_uid == geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn try_take(path: &Path) -> io::Result<Option<PathLock>> {
        PathLock::try_take(path, lock_exclusively)
    }

    #[test]
    fn a_file_that_was_removed_after_it_was_opened_is_not_a_lock() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("socket.lock");
        let remove = |_: &OwnedFd| {
            unlink(&path)?;
            Ok(())
        };
        assert!(PathLock::try_take(&path, remove)?.is_none());
        let replace = |file: &OwnedFd| {
            remove(file)?;
            // The inode of the removed file is still in use.
            fs::write(&path, "").map_err(|_| Errno::IO)
        };
        assert!(PathLock::try_take(&path, replace)?.is_none());
        assert!(path.exists(), "the other file is not removed");
        assert!(try_take(&path)?.is_some());
        assert!(!path.exists());
        Ok(())
    }

    /// Some network file systems have no locks.
    #[test]
    fn a_new_file_that_cannot_be_locked_is_removed() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("socket.lock");
        for errno in [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP] {
            let error = PathLock::try_take(&path, |_| Err(errno)).err();
            assert_eq!(
                error.map(|error| error.kind()),
                Some(io::Error::from(errno).kind())
            );
            assert!(!path.exists(), "{errno}");
            // A file that existed before may be the lock of another process.
            fs::write(&path, "")?;
            assert!(PathLock::try_take(&path, |_| Err(errno)).is_err());
            assert!(path.exists(), "{errno}");
            fs::remove_file(&path)?;
        }
        // Another process has the lock.
        assert!(PathLock::try_take(&path, |_| Err(Errno::WOULDBLOCK)).is_err());
        assert!(path.exists());
        Ok(())
    }

    #[test]
    fn an_error_names_the_directory_that_causes_it() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let parent = dir.path().display();
        let file = dir.path().join("file");
        fs::write(&file, "")?;
        let error = |path: &Path| {
            let error = PathLock::take(path).err().map(|error| error.to_string());
            let checked = check_directory(path).err().map(|error| error.to_string());
            assert_eq!(checked, error, "{path:?}");
            error
        };
        let missing = dir.path().join("none/socket");
        let message = format!("there is no directory {parent}/none");
        assert_eq!(error(&missing), Some(message));
        let message = format!("{parent}/file is not a directory");
        assert_eq!(error(&file.join("socket")), Some(message));
        let denied = explain(&missing, Errno::ACCESS.into());
        let message = format!(
            "no permission to create a file in {parent}/none: choose another directory or user"
        );
        assert_eq!(denied.to_string(), message);
        let here = explain(Path::new("socket.lock"), Errno::NOENT.into());
        assert_eq!(here.to_string(), "there is no directory .");
        Ok(())
    }

    #[test]
    fn a_lock_that_a_process_has_written_to_is_not_removed() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("socket.lock");
        let lock = try_take(&path)?.expect("it is free");
        fs::write(&path, "precious")?;
        drop(lock);
        assert_eq!(fs::read(&path)?, b"precious");
        Ok(())
    }
}
