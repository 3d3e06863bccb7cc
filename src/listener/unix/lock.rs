//! Keeps servers that begin at the same path apart.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, lstat, open, unlink};
use rustix::io::Errno;
use rustix::process::geteuid;

/// The lock of a path: a locked file beside it, `PATH.lock`, which is there only while somebody
/// has it. Its end frees it also where the process is killed. Whoever else has a file of that name
/// keeps it: one that is not empty, or not ours, is no lock.
pub(super) struct Lock {
    path: PathBuf,
    locked: OwnedFd,
}

impl Lock {
    /// Takes the lock, and does not wait for it: who has it is about to listen there, or has found
    /// somebody who does.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let mut name = OsString::from(path);
        name.push(".lock");
        let path = PathBuf::from(name);
        let lock = loop {
            match Self::try_take(&path, lock_exclusively) {
                Ok(None) => {}
                Ok(Some(lock)) => break Ok(lock),
                Err(error) => break Err(error),
            }
        };
        lock.map_err(|error| explain(&path, error))
    }

    /// None: another process has removed the file since it was opened.
    fn try_take(
        path: &Path,
        lock: impl Fn(&OwnedFd) -> rustix::io::Result<()>,
    ) -> io::Result<Option<Self>> {
        let Some((file, is_new)) = file(path)? else {
            return Ok(None);
        };
        let ours = fstat(&file)?;
        let locked = if is_lock(&ours) {
            lock(&file).map_err(io::Error::from)
        } else {
            let problem = "there is a file already that is no lock of ours: it is left as it is";
            Err(io::Error::new(io::ErrorKind::AlreadyExists, problem))
        };
        if let Err(error) = locked {
            if error.kind() == io::ErrorKind::WouldBlock {
                return Err(Errno::ADDRINUSE.into());
            }
            // A file system without locks, or one that gives the file to another user.
            if is_new && ours.st_size == 0 {
                let _ = unlink(path);
            }
            return Err(error);
        }
        match lstat(path) {
            Ok(there) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) => {
                Ok(Some(Self {
                    path: path.to_owned(),
                    locked: file,
                }))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked: it is ours, unless somebody has written to it meanwhile.
        if fstat(&self.locked).is_ok_and(|file| is_lock(&file)) {
            let _ = unlink(&self.path);
        }
    }
}

/// Makes the file, or else opens it, and whether it was made; what else has the name is opened without a
/// word to it. None: another process has removed the file meanwhile.
fn file(path: &Path) -> io::Result<Option<(OwnedFd, bool)>> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    let new = flags | OFlags::CREATE | OFlags::EXCL;
    match open(path, new, Mode::RUSR | Mode::WUSR) {
        Err(Errno::EXIST) => {}
        made => return Ok(Some((made?, true))),
    }
    match open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => Ok(None),
        opened => Ok(Some((opened?, false))),
    }
}

fn lock_exclusively(file: &OwnedFd) -> rustix::io::Result<()> {
    flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// Names the directory where that is the reason, else the file of the lock.
fn explain(lock: &Path, error: io::Error) -> io::Error {
    let dir = match lock.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir.display(),
        _ => Path::new(".").display(),
    };
    let problem = match error.kind() {
        // Another server is about to listen at the path itself.
        io::ErrorKind::AddrInUse => return error,
        io::ErrorKind::NotFound => format!("there is no directory {dir}"),
        io::ErrorKind::NotADirectory => format!("{dir} is not a directory"),
        io::ErrorKind::PermissionDenied if lstat(lock).is_err() => {
            format!("no permission to make a file in {dir}: choose another directory or user")
        }
        _ => format!("{}: {error}", lock.display()),
    };
    io::Error::new(error.kind(), problem)
}

/// Whether it can be what one of us has made: empty, and of this user.
fn is_lock(file: &Stat) -> bool {
    FileType::from_raw_mode(file.st_mode) == FileType::RegularFile
        && file.st_size == 0
        && file.st_uid == geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn try_take(path: &Path) -> io::Result<Option<Lock>> {
        Lock::try_take(path, lock_exclusively)
    }

    #[test]
    fn a_file_that_was_removed_after_it_was_opened_is_no_lock() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("socket.lock");
        let remove = |_: &OwnedFd| {
            unlink(&path)?;
            Ok(())
        };
        assert!(Lock::try_take(&path, remove)?.is_none());
        let replace = |file: &OwnedFd| {
            remove(file)?;
            // The number of the removed one is not free yet.
            fs::write(&path, "").map_err(|_| Errno::IO)
        };
        assert!(Lock::try_take(&path, replace)?.is_none());
        assert!(path.exists(), "what is not ours is not removed");
        assert!(try_take(&path)?.is_some());
        assert!(!path.exists());
        Ok(())
    }

    /// As on some file systems of other machines.
    #[test]
    fn a_file_that_cannot_be_locked_does_not_stay() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("socket.lock");
        for errno in [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP] {
            let error = Lock::try_take(&path, |_| Err(errno)).err();
            assert_eq!(
                error.map(|error| error.kind()),
                Some(io::Error::from(errno).kind())
            );
            assert!(!path.exists(), "{errno}");
            // One that was there before may be the lock of another process.
            fs::write(&path, "")?;
            assert!(Lock::try_take(&path, |_| Err(errno)).is_err());
            assert!(path.exists(), "{errno}");
            fs::remove_file(&path)?;
        }
        // Another process was quicker to lock it.
        assert!(Lock::try_take(&path, |_| Err(Errno::WOULDBLOCK)).is_err());
        assert!(path.exists());
        Ok(())
    }

    #[test]
    fn the_directory_is_named_where_that_is_the_reason() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let at = dir.path().display();
        let file = dir.path().join("file");
        fs::write(&file, "")?;
        let error = |path: &Path| Lock::take(path).err().map(|error| error.to_string());
        let missing = dir.path().join("none/socket");
        let problem = format!("there is no directory {at}/none");
        assert_eq!(error(&missing), Some(problem));
        let problem = format!("{at}/file is not a directory");
        assert_eq!(error(&file.join("socket")), Some(problem));
        let denied = explain(&missing, Errno::ACCESS.into());
        let problem = "no permission to make a file in";
        let problem = format!("{problem} {at}/none: choose another directory or user");
        assert_eq!(denied.to_string(), problem);
        let here = explain(Path::new("socket.lock"), Errno::NOENT.into());
        assert_eq!(here.to_string(), "there is no directory .");
        Ok(())
    }

    #[test]
    fn a_lock_that_somebody_writes_to_is_not_removed() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("socket.lock");
        let lock = try_take(&path)?.expect("nobody has it");
        fs::write(&path, "precious")?;
        drop(lock);
        assert_eq!(fs::read(&path)?, b"precious");
        Ok(())
    }
}
