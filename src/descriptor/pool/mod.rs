//! Files on the blocking pool: threads read and write where the system reports no readiness.

mod reader;
mod writer;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;

use super::kind::{has_nothing_yet, is_end_of_terminal};

pub(super) use reader::PoolReader;
pub(super) use writer::PoolWriter;

/// A file for a thread that may block. Calls also wait if the file is non-blocking: this is a
/// property of the open terminal or pipe, and other processes that share it may set it.
pub(super) struct BlockingFile {
    file: File,
}

impl BlockingFile {
    pub(super) fn new(file: File) -> Self {
        Self { file }
    }

    /// Calls `io` until it does not fail with `WouldBlock`. A signal that interrupts the wait is
    /// not an error.
    fn retry_blocking(
        &self,
        flags: PollFlags,
        mut io: impl FnMut(&File) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match io(&self.file) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut ready = [PollFd::new(&self.file, flags)];
                    retry_on_intr(|| poll(&mut ready, None))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    pub(super) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.retry_blocking(PollFlags::IN, |file| {
            check_read(file.as_fd(), rustix::io::read(file, &mut *buf))
        })
    }

    fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.retry_blocking(PollFlags::OUT, |mut file| file.write(bytes)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Interprets the result of a read from a file or a terminal.
fn check_read(fd: BorrowedFd<'_>, result: rustix::io::Result<usize>) -> io::Result<usize> {
    match result {
        Ok(0) if has_nothing_yet(fd) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) if is_end_of_terminal(fd, error) => Ok(0),
        result => Ok(result?),
    }
}

#[cfg(test)]
pub(super) mod tests;
