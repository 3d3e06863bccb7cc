//! Rings once, after a time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

/// A timerfd that is watched edge-triggered and never read: each ring is an edge. See
/// `timerfd_create(2)`.
///
/// A wait of epoll that is bounded would set and clear a timer of the kernel each time, which is
/// felt where it waits after each message. This one stands until it rings.
#[derive(Debug)]
pub(super) struct AlarmClock(OwnedFd);

impl AlarmClock {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// It rings in this time, and not when it was to before.
    pub(super) fn set(&self, time: Duration) -> io::Result<()> {
        let zero = Timespec::default();
        let once = Itimerspec {
            it_interval: zero,
            // One that is too long for the kernel would be longer than all others.
            it_value: Timespec::try_from(time).unwrap_or(zero),
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

impl AsFd for AlarmClock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
