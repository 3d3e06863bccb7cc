//! Encrypted records, in a buffer that exists only until they are sent.

use std::cell::RefCell;
use std::fmt;

use rustls::unbuffered::EncryptError;

use super::slices::MAX_WRITE_BYTES;

/// The size of a pooled buffer: the payload of one write, and what its records add to it.
const BUFFER_BYTES: usize = MAX_WRITE_BYTES + 1024;
/// Records that wait for room move to a smaller buffer if they fit into 1/4 of the current one.
const MIN_FILL_DIVISOR: usize = 4;
/// The most buffers that a thread keeps for the next writes.
const MAX_POOLED_BUFFERS: usize = 4;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// Records to send, in order.
pub(in crate::tls) struct Records {
    /// The records are `bytes[start..end]`.
    start: usize,
    end: usize,
    bytes: Box<[u8]>,
}

impl Records {
    /// Takes a buffer for the records of one write from the pool of this thread.
    pub(in crate::tls) fn new() -> Self {
        let pooled = POOL.try_with(|pool| pool.borrow_mut().pop());
        let bytes = pooled.ok().flatten();
        Self {
            start: 0,
            end: 0,
            bytes: bytes.unwrap_or_else(|| vec![0; BUFFER_BYTES].into()),
        }
    }

    pub(in crate::tls) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(in crate::tls) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Removes the first `n` bytes, which are sent.
    pub(in crate::tls) fn advance(&mut self, n: usize) {
        assert!(
            n <= self.as_slice().len(),
            "a writer took more bytes than it was given"
        );
        self.start += n;
    }

    /// Moves few records to a buffer of their size, for a wait.
    pub(in crate::tls) fn shrink(&mut self) {
        if self.as_slice().len() <= self.bytes.len() / MIN_FILL_DIVISOR {
            *self = self.as_slice().to_vec().into();
        }
    }

    pub(super) fn append(&mut self, records: &[u8]) {
        self.reserve(records.len());
        self.bytes[self.end..][..records.len()].copy_from_slice(records);
        self.end += records.len();
    }

    /// Appends the records that `encrypt` writes into the free room.
    pub(super) fn fill(
        &mut self,
        mut encrypt: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), EncryptError> {
        loop {
            match encrypt(&mut self.bytes[self.end..]) {
                Ok(n) => {
                    self.end += n;
                    return Ok(());
                }
                Err(EncryptError::InsufficientSize(error)) => self.reserve(error.required_size),
                Err(error) => return Err(error),
            }
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Makes room for `size` more bytes.
    fn reserve(&mut self, size: usize) {
        if self.bytes.len() - self.end < size {
            let mut larger = vec![0; self.end + size];
            larger[..self.end].copy_from_slice(&self.bytes[..self.end]);
            self.bytes = larger.into();
        }
    }
}

impl From<Vec<u8>> for Records {
    fn from(records: Vec<u8>) -> Self {
        Self {
            start: 0,
            end: records.len(),
            bytes: records.into(),
        }
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        if self.bytes.len() != BUFFER_BYTES {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        // The pool is gone while the thread ends.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < MAX_POOLED_BUFFERS {
                pool.push(bytes);
            }
        });
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("len", &self.as_slice().len())
            .finish_non_exhaustive()
    }
}
