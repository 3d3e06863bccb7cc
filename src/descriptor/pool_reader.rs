//! Reads from a file on a thread of the blocking pool.

use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::pool::BlockingFile;
use crate::blocking::{Call, unblock};

/// What the thread reads at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// The thread is asked for a chunk when there is nothing left of the one before. A read that is
/// cancelled or refused a thread loses nothing.
pub(super) struct PoolReader {
    file: Arc<BlockingFile>,
    reading: Option<Call<Vec<u8>>>,
    chunk: Vec<u8>,
    /// How much of it was read.
    read: usize,
    /// A read has returned 0 bytes. A terminal reports its end once (Ctrl-D at the beginning of a line).
    ended: bool,
}

impl PoolReader {
    pub(super) fn new(file: BlockingFile) -> Self {
        Self {
            file: Arc::new(file),
            reading: None,
            chunk: Vec::new(),
            read: 0,
            ended: false,
        }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.ended || buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.read == self.chunk.len() {
            self.chunk = ready!(self.poll_chunk(cx))?;
            self.read = 0;
            self.ended = self.chunk.is_empty();
        }
        let left = &self.chunk[self.read..];
        let n = left.len().min(buf.len());
        buf[..n].copy_from_slice(&left[..n]);
        self.read += n;
        Poll::Ready(Ok(n))
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let reading = self.reading.get_or_insert_with(|| {
            let file = self.file.clone();
            let mut chunk = mem::take(&mut self.chunk);
            self.read = 0;
            unblock(move || {
                chunk.resize(CHUNK, 0);
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
    use crate::descriptor::pool::tests::terminal;

    fn reader(file: impl Into<OwnedFd>) -> PoolReader {
        PoolReader::new(BlockingFile::new(File::from(file.into())))
    }

    fn read(reader: &mut PoolReader) -> io::Result<Vec<u8>> {
        let mut buf = [0; 16];
        let n = smol::block_on(poll_fn(|cx| reader.poll_read(cx, &mut buf)))?;
        Ok(buf[..n].to_vec())
    }

    #[test]
    fn a_read_that_is_refused_a_thread_loses_nothing() -> io::Result<()> {
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

    /// A person who types a line, ends the input, and types on.
    #[test]
    fn the_end_that_a_terminal_says_once_is_the_end() -> io::Result<()> {
        let (person, program) = terminal()?;
        rustix::io::write(&person, b"hello\n\x04more\n")?;
        let mut reader = reader(program);
        assert_eq!(read(&mut reader)?, b"hello\n");
        for _ in 0..3 {
            assert_eq!(read(&mut reader)?, b"");
        }
        Ok(())
    }
}
