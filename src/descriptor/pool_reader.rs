//! Reads from a file on a thread of the blocking pool.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::pool::Patient;
use crate::blocking::{Call, unblock};

/// What the thread reads at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// The thread is asked for a chunk when there is nothing left of the one before. A read that is
/// cancelled loses nothing.
pub(super) struct PoolReader {
    state: State,
    chunk: Vec<u8>,
    /// How much of it was read.
    read: usize,
}

enum State {
    /// None once the pool has refused a call, which took the file with it.
    Idle(Option<Patient>),
    Reading(Call<(Patient, io::Result<Vec<u8>>)>),
}

impl PoolReader {
    pub(super) fn new(file: Patient) -> Self {
        Self {
            state: State::Idle(Some(file)),
            chunk: Vec::new(),
            read: 0,
        }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.read == self.chunk.len() {
            self.chunk = ready!(self.poll_chunk(cx))?;
            self.read = 0;
        }
        let left = &self.chunk[self.read..];
        let n = left.len().min(buf.len());
        buf[..n].copy_from_slice(&left[..n]);
        self.read += n;
        Poll::Ready(Ok(n))
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        if let State::Idle(file) = &mut self.state {
            let Some(mut file) = file.take() else {
                return Poll::Ready(Err(io::ErrorKind::WouldBlock.into()));
            };
            let mut chunk = std::mem::take(&mut self.chunk);
            self.read = 0;
            self.state = State::Reading(unblock(move || {
                chunk.resize(CHUNK, 0);
                let read = file.read(&mut chunk).map(|n| {
                    chunk.truncate(n);
                    chunk
                });
                Ok((file, read))
            }));
        }
        let State::Reading(call) = &mut self.state else {
            return Poll::Pending;
        };
        let called = ready!(Pin::new(call).poll(cx));
        self.state = State::Idle(None);
        let (file, chunk) = called?;
        self.state = State::Idle(Some(file));
        Poll::Ready(chunk)
    }
}
