//! `PoolReader`: reads from a file on a thread of the blocking pool.

use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::BlockingFile;
use crate::blocking::{Call, unblock};

/// The size of one read on the thread.
const CHUNK_BYTES: usize = 64 * 1024;

/// Reads one chunk after another on a thread, each when the one before is used up. No bytes are
/// lost if a read is cancelled or gets no thread.
pub(in crate::descriptor) struct PoolReader {
    file: Arc<BlockingFile>,
    reading: Option<Call<Vec<u8>>>,
    chunk: Vec<u8>,
    /// The number of bytes of `chunk` that were returned.
    used: usize,
    /// Set when a read has returned 0 bytes. A terminal reports its end only once (Ctrl-D at the
    /// start of a line).
    ended: bool,
}

impl PoolReader {
    pub(in crate::descriptor) fn new(file: BlockingFile) -> Self {
        Self {
            file: Arc::new(file),
            reading: None,
            chunk: Vec::new(),
            used: 0,
            ended: false,
        }
    }

    pub(in crate::descriptor) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.ended || buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.used == self.chunk.len() {
            self.chunk = ready!(self.poll_chunk(cx))?;
            self.used = 0;
            self.ended = self.chunk.is_empty();
        }
        let rest = &self.chunk[self.used..];
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.used += n;
        Poll::Ready(Ok(n))
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let reading = self.reading.get_or_insert_with(|| {
            let file = self.file.clone();
            let mut chunk = mem::take(&mut self.chunk);
            self.used = 0;
            unblock(move || {
                chunk.resize(CHUNK_BYTES, 0);
                let n = file.read(&mut chunk)?;
                chunk.truncate(n);
                Ok(chunk)
            })
        });
        let chunk = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(chunk)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::future::poll_fn;
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::blocking::without_threads;
    use crate::descriptor::pool::tests::open_pty;

    fn reader(file: impl Into<OwnedFd>) -> PoolReader {
        PoolReader::new(BlockingFile::new(File::from(file.into())))
    }

    fn read(reader: &mut PoolReader) -> io::Result<Vec<u8>> {
        let mut buf = [0; 16];
        let n = smol::block_on(poll_fn(|cx| reader.poll_read(cx, &mut buf)))?;
        Ok(buf[..n].to_vec())
    }

    #[test]
    fn no_bytes_are_lost_by_a_read_that_gets_no_thread() -> io::Result<()> {
        let (from, mut to) = io::pipe()?;
        let mut reader = reader(from);
        to.write_all(b"hello")?;
        without_threads(|| {
            for _ in 0..2 {
                let error = read(&mut reader).expect_err("refused");
                assert_eq!(error.kind(), io::ErrorKind::Other);
                assert!(error.to_string().starts_with("no thread"), "{error}");
            }
        });
        assert_eq!(read(&mut reader)?, b"hello");
        Ok(())
    }

    /// A terminal reports the end of input once; later reads would return more input.
    #[test]
    fn the_first_end_of_a_terminal_is_final() -> io::Result<()> {
        let (master, terminal) = open_pty()?;
        rustix::io::write(&master, b"hello\n\x04more\n")?;
        let mut reader = reader(terminal);
        assert_eq!(read(&mut reader)?, b"hello\n");
        for _ in 0..3 {
            assert_eq!(read(&mut reader)?, b"");
        }
        Ok(())
    }
}
