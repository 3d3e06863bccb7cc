//! Keeps servers that begin at the same path apart.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, lstat, open, unlink};
use rustix::io::Errno;

/// The lock of a path: a locked file beside it, `PATH.lock`, which is there only while somebody
/// has it. Its end frees it also where the process is killed.
pub(super) struct Lock {
    path: PathBuf,
    _locked: OwnedFd,
}

impl Lock {
    /// Takes the lock, and does not wait for it: who has it is about to listen there, or has found
    /// somebody who does.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let mut name = OsString::from(path);
        name.push(".lock");
        let path = PathBuf::from(name);
        loop {
            if let Some(lock) = Self::of(file(&path)?, &path)? {
                return Ok(lock);
            }
        }
    }

    /// None: who had it before has removed the file after it was opened.
    fn of(file: OwnedFd, path: &Path) -> io::Result<Option<Self>> {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(Errno::ADDRINUSE.into()),
            locked => locked?,
        }
        let ours = fstat(&file)?;
        match lstat(path) {
            Ok(there) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) => {
                Ok(Some(Self {
                    path: path.to_owned(),
                    _locked: file,
                }))
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked: it is ours.
        let _ = unlink(&self.path);
    }
}

fn file(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::RUSR | Mode::WUSR)?)
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
}
