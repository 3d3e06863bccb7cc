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
            match file(&path).and_then(|file| Self::of(file, &path)) {
                Ok(None) => {}
                Ok(Some(lock)) => break Ok(lock),
                Err(error) => break Err(error),
            }
        };
        // Who has it is about to listen at the path itself, and is not named.
        lock.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => error,
            kind => io::Error::new(kind, format!("{}: {error}", path.display())),
        })
    }

    /// None: who had it before has removed the file after it was opened.
    fn of(file: OwnedFd, path: &Path) -> io::Result<Option<Self>> {
        let ours = fstat(&file)?;
        if !is_lock(&ours) {
            let problem = "there is a file already that is no lock of ours: it is left as it is";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(Errno::ADDRINUSE.into()),
            locked => locked?,
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

/// Opens it, or makes it; what else has the name is opened without a word to it.
fn file(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(open(path, flags, Mode::RUSR | Mode::WUSR)?)
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

    #[test]
    fn a_file_that_was_removed_after_it_was_opened_is_no_lock() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("socket.lock");
        let removed = [file(&path)?, file(&path)?];
        fs::remove_file(&path)?;
        let [first, second] = removed;
        assert!(Lock::of(first, &path)?.is_none());
        let _another = file(&path)?;
        assert!(Lock::of(second, &path)?.is_none());
        assert!(path.exists(), "what is not ours is not removed");
        assert!(Lock::of(file(&path)?, &path)?.is_some());
        assert!(!path.exists());
        Ok(())
    }

    #[test]
    fn a_lock_that_somebody_writes_to_is_not_removed() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("socket.lock");
        let lock = Lock::of(file(&path)?, &path)?.expect("nobody has it");
        fs::write(&path, "precious")?;
        drop(lock);
        assert_eq!(fs::read(&path)?, b"precious");
        Ok(())
    }
}
