//! A socket that other code uses, such as a child process: its bytes and times come from the kernel.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use rustix::net::{RecvFlags, recv};

use super::{ColdState, Flag, Record};
use crate::reactor::tcp_info;

impl Record {
    /// Marks the socket as used by code that does not count. The end of the connection shuts it
    /// down from now on, as others may have it open.
    pub(in crate::connection) fn lend_socket(&self) {
        self.flags.set(Flag::SharedSocket);
        self.cold().lent.store(true, Ordering::Release);
        if let Some(context) = self.context() {
            context.lend();
            let untimed = !context.is_timed();
            self.cold().lent_untimed.store(untimed, Ordering::Relaxed);
        }
        #[cfg(all(target_os = "linux", not(halves_portable)))]
        self.source.unregister();
    }

    /// Returns true if the bytes and the times of the socket are known while other code uses it.
    pub(crate) fn is_measurable(&self) -> bool {
        self.with_fd(tcp_info).flatten().is_some()
    }

    /// Returns true if an idle timeout may apply. It may not if it was set after other code got the
    /// socket, and the time of the last byte is unknown.
    pub(crate) fn may_be_idle(&self) -> bool {
        let untimed = |cold: &ColdState| cold.lent_untimed.load(Ordering::Relaxed);
        !self.cold.get().is_some_and(untimed) || self.is_measurable()
    }

    /// Updates the bytes and the time of the last one from the kernel, if other code uses the
    /// socket.
    pub(crate) fn measure_lent(&self) {
        if self.is_lent() {
            self.with_fd(|socket| self.measure(socket));
        }
    }

    /// Measures for the last time, and records whether the peer's end is the next thing to read.
    pub(crate) fn end_lent(&self) {
        self.measure_lent();
        let ended = |socket: BorrowedFd<'_>| {
            let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            matches!(recv(socket, &mut [0], flags), Ok((0, _)))
        };
        if self.is_lent() && self.with_fd(ended) == Some(true) {
            self.flags.set(Flag::Eof);
        }
    }

    fn is_lent(&self) -> bool {
        let cold = self.cold.get();
        let lent = cold.is_some_and(|cold| cold.lent.load(Ordering::Acquire));
        // The kernel clears the counts of a socket that is reset here.
        lent && !self.flags.has(Flag::Reset)
    }

    fn measure(&self, socket: BorrowedFd<'_>) {
        let Some(info) = tcp_info(socket) else { return };
        let now = self.context().map(|context| context.clock.stamp());
        // Retransmissions move the time only.
        for (count, new, since) in [
            (&self.bytes_in, info.received, info.since_received),
            (&self.bytes_out, info.written, info.since_sent),
        ] {
            if count.fetch_max(new, Ordering::Relaxed) < new
                && let Some(now) = now
            {
                self.active.set(now.before(since).max(self.active.get()));
            }
        }
    }
}
