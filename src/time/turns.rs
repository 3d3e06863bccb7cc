//! One reading of the clock for all that a thread does in one turn of its loop.

use std::cell::Cell;

use super::Stamp;

thread_local! {
    static TURN: Cell<Turn> = const { Cell::new(Turn::None) };
}

#[derive(Clone, Copy)]
enum Turn {
    /// The thread's loop does not say when one begins.
    None,
    /// Nobody has asked for the time in this one.
    Unread,
    Read(Stamp),
}

/// While it lives, this thread has turns.
pub(crate) struct Turns(Turn);

impl Turns {
    #[cfg_attr(
        not(all(target_os = "linux", not(halves_portable))),
        allow(dead_code, reason = "executors of others have no turns")
    )]
    pub(crate) fn begin() -> Self {
        Self(TURN.replace(Turn::Unread))
    }

    /// The next one begins.
    #[allow(clippy::unused_self, reason = "who has turns says so")]
    #[cfg_attr(
        not(all(target_os = "linux", not(halves_portable))),
        allow(dead_code, reason = "executors of others have no turns")
    )]
    pub(crate) fn next(&self) {
        TURN.set(Turn::Unread);
    }

    #[inline(always)]
    pub(super) fn stamp() -> Stamp {
        match TURN.get() {
            Turn::Read(stamp) => stamp,
            Turn::Unread => Self::read(),
            Turn::None => Stamp::coarse(),
        }
    }

    #[cold]
    fn read() -> Stamp {
        let stamp = Stamp::coarse();
        TURN.set(Turn::Read(stamp));
        stamp
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        TURN.set(self.0);
    }
}
