//! Standard error, as the log's thread writes to it.

use std::io::{self, Write};

use rustix::event::{PollFd, PollFlags, poll};

/// Standard error, which waits where it must also when somebody has made it non-blocking: that
/// is a property of the terminal or pipe, and whoever shares it with us may set it.
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let mut stderr = io::stderr();
            match stderr.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None)?;
                }
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
