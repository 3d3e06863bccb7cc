//! `PoolWriter`: writes to a file on a thread of the blocking pool.

use std::fs::File;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::BlockingFile;
use crate::blocking::unblock;

/// The most bytes in the queue for the thread.
pub(super) const MAX_QUEUED_BYTES: usize = 256 * 1024;

/// Writes to a file on a thread. Accepted bytes are written even if the writer is dropped: the
/// thread runs until the queue is empty. The exit of the process ends the thread, so the drop
/// writes the rest to a regular file itself, which does not take long.
pub(in crate::descriptor) struct PoolWriter(pub(super) Arc<QueuedFile>);

/// A file and the queue for it, shared by the writer and the thread.
pub(super) struct QueuedFile {
    file: BlockingFile,
    is_regular: bool,
    queue: Mutex<PoolQueue>,
    /// Locked while the queue is written, so that this happens on one thread at a time, in order.
    writing: Mutex<()>,
}

#[derive(Default)]
pub(super) struct PoolQueue {
    pub(super) bytes: Vec<u8>,
    /// True while a thread writes. It checks the queue again before it ends.
    has_thread: bool,
    /// The first error. It is final: no bytes may follow those that were not written.
    error: Option<StoredError>,
    /// The waker of the task that waits for room or for the flush.
    waker: Option<Waker>,
}

/// An error that can be returned more than once.
#[derive(Clone, Copy)]
enum StoredError {
    Code(i32),
    Kind(io::ErrorKind),
}

impl PoolWriter {
    pub(in crate::descriptor) fn new(file: File) -> Self {
        Self(Arc::new(QueuedFile {
            is_regular: file.metadata().is_ok_and(|file| file.is_file()),
            file: BlockingFile::new(file),
            queue: Mutex::default(),
            writing: Mutex::default(),
        }))
    }

    pub(in crate::descriptor) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut queue = self.0.lock();
        if let Some(error) = queue.error {
            return Poll::Ready(Err(error.into()));
        }
        let n = buf.len().min(MAX_QUEUED_BYTES - queue.bytes.len());
        if n == 0 && !buf.is_empty() {
            return wait(queue, cx);
        }
        if n > 0 && !queue.has_thread {
            // If this fails, no bytes have been accepted. The thread waits for the lock.
            self.0.start_writing()?;
            queue.has_thread = true;
        }
        queue.bytes.extend_from_slice(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    /// Ready when the queue is written.
    pub(in crate::descriptor) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let queue = self.0.lock();
        if queue.has_thread {
            return wait(queue, cx);
        }
        Poll::Ready(queue.error.map_or(Ok(()), |error| Err(error.into())))
    }
}

impl Drop for PoolWriter {
    fn drop(&mut self) {
        let has_thread = self.0.lock().has_thread;
        if has_thread && self.0.is_regular {
            // The thread may not have started: every thread of the pool may be busy.
            self.0.write_queue();
        }
    }
}

impl QueuedFile {
    pub(super) fn lock(&self) -> MutexGuard<'_, PoolQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the queue on a thread, which continues if the writer is dropped.
    fn start_writing(self: &Arc<Self>) -> io::Result<()> {
        let file = self.clone();
        let writing = unblock(move || {
            file.write_queue();
            Ok(())
        });
        writing.detach()
    }

    fn write_queue(&self) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        loop {
            let mut queue = self.lock();
            bytes.clear();
            mem::swap(&mut bytes, &mut queue.bytes);
            queue.has_thread = !bytes.is_empty();
            let woken = queue.waker.take();
            drop(queue);
            woken.into_iter().for_each(Waker::wake);
            if bytes.is_empty() {
                return;
            }
            if let Err(error) = self.file.write_all(&bytes) {
                let mut queue = self.lock();
                queue.error = Some(error.into());
                queue.bytes = Vec::new();
            }
        }
    }
}

fn wait<T>(mut queue: MutexGuard<'_, PoolQueue>, cx: &mut Context<'_>) -> Poll<T> {
    let before = queue.waker.replace(cx.waker().clone());
    drop(queue);
    drop(before);
    Poll::Pending
}

impl From<io::Error> for StoredError {
    fn from(error: io::Error) -> Self {
        let code = error.raw_os_error();
        code.map_or(Self::Kind(error.kind()), Self::Code)
    }
}

impl From<StoredError> for io::Error {
    fn from(error: StoredError) -> Self {
        match error {
            StoredError::Code(code) => Self::from_raw_os_error(code),
            StoredError::Kind(kind) => kind.into(),
        }
    }
}
