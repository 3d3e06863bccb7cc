//! The counts and the times that a connection brings from another process.

#[cfg(target_os = "linux")]
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Record;

/// The counts and the times of a connection in the processes that had it before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// The time since the accept.
    pub(crate) age: Duration,
    /// The time since the last byte.
    pub(crate) idle: Duration,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Record {
    /// Returns the counts and the times of other processes, if the connection comes from one.
    pub(crate) fn carried(&self) -> Option<&Carried> {
        self.cold.get()?.carried.get()
    }

    /// Returns the received and the sent bytes of this process.
    pub(crate) fn own_bytes(&self) -> (u64, u64) {
        let carried = self.carried().copied().unwrap_or_default();
        (
            self.bytes_in().saturating_sub(carried.bytes_in),
            self.bytes_out().saturating_sub(carried.bytes_out),
        )
    }
}

/// For relays that move between processes.
#[cfg(target_os = "linux")]
impl Record {
    /// Sets the counts and the times of other processes, before a server has the connection.
    pub(crate) fn carry(&self, carried: Carried) {
        self.bytes_in.store(carried.bytes_in, Ordering::Relaxed);
        self.bytes_out.store(carried.bytes_out, Ordering::Relaxed);
        let _ = self.cold().carried.set(Box::new(carried));
    }

    /// Returns the counts and the times for the next process. Returns None if no server has the
    /// connection.
    pub(crate) fn to_carry(&self) -> Option<Carried> {
        let served = self.served.get()?;
        let now = served.context.clock.stamp();
        Some(Carried {
            age: now.since(served.opened),
            idle: now.since(self.active()),
            bytes_in: self.bytes_in(),
            bytes_out: self.bytes_out(),
        })
    }

    /// Takes back the count of bytes that another process sends. Called by the writer only.
    pub(crate) fn uncount_sent(&self, n: usize) {
        let sent = self.bytes_out.load(Ordering::Relaxed);
        self.bytes_out.store(sent - n as u64, Ordering::Relaxed);
    }

    /// Calls `take` with the written bytes that the kernel does not have. If it returns true, they
    /// are dropped, since other code sends them. Returns the result, or false if earlier bytes are
    /// lost.
    #[cfg_attr(
        halves_portable,
        allow(clippy::unused_self, reason = "used with a reactor of ours")
    )]
    pub(crate) fn give_up_unsent(&self, take: impl FnOnce(&[u8]) -> bool) -> bool {
        #[cfg(not(halves_portable))]
        return self.source.give_up_unsent(take);
        // No write is gathered there.
        #[cfg(halves_portable)]
        take(&[])
    }
}
