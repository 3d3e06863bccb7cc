//! The shutdown switch of servers, and how a handler waits for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

use async_signal::Signal;
use event_listener::Event;

use crate::signals::Signals;

const DRAINING: u8 = 1;
const ABORTING: u8 = 2;

/// Ends servers: first with a drain, then with an abort.
///
/// Clones are handles to the same switch, and can be used from any thread. The state only moves
/// forward: serving, draining, aborting. Several servers can share one `Shutdown`.
///
/// # Examples
///
/// ```
/// let shutdown = halves::Shutdown::default();
/// assert!(!shutdown.is_draining());
/// shutdown.drain();
/// assert!(shutdown.is_draining());
/// smol::block_on(shutdown.requested());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<SwitchState>);

#[derive(Debug, Default)]
struct SwitchState {
    level: AtomicU8,
    /// The last signal received, 0 for none. The exit code of a command depends on it.
    signal: AtomicI32,
    changed: Event,
}

impl Shutdown {
    /// Makes the server stop accepting, and let connections finish until its drain deadline.
    ///
    /// # Examples
    ///
    /// ```
    /// halves::Shutdown::default().drain();
    /// ```
    pub fn drain(&self) {
        self.raise(DRAINING);
    }

    /// Makes the server stop accepting, and reset every connection now.
    ///
    /// # Examples
    ///
    /// ```
    /// let shutdown = halves::Shutdown::default();
    /// shutdown.abort();
    /// assert!(shutdown.is_draining() && shutdown.is_aborting());
    /// ```
    pub fn abort(&self) {
        self.raise(ABORTING);
    }

    /// Returns true if [`drain`](Self::drain) or [`abort`](Self::abort) was called.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!halves::Shutdown::default().is_draining());
    /// ```
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.level() >= DRAINING
    }

    /// Returns true if [`abort`](Self::abort) was called.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!halves::Shutdown::default().is_aborting());
    /// ```
    #[must_use]
    pub fn is_aborting(&self) -> bool {
        self.level() >= ABORTING
    }

    /// Waits until [`drain`](Self::drain) or [`abort`](Self::abort) is called. Cancel-safe.
    ///
    /// A handler that works without input races this against its work. A handler that waits for
    /// input can use [`Reader::read_or_drain`](crate::Reader::read_or_drain).
    ///
    /// # Examples
    ///
    /// ```
    /// let shutdown = halves::Shutdown::default();
    /// shutdown.drain();
    /// smol::block_on(shutdown.requested());
    /// ```
    pub async fn requested(&self) {
        self.wait_for_level(DRAINING).await;
    }

    /// Waits until [`abort`](Self::abort) is called. Cancel-safe.
    ///
    /// # Examples
    ///
    /// ```
    /// let shutdown = halves::Shutdown::default();
    /// shutdown.abort();
    /// smol::block_on(shutdown.forced());
    /// ```
    pub async fn forced(&self) {
        self.wait_for_level(ABORTING).await;
    }

    /// Returns a switch that signals trigger: the first TERM or INT drains, the second one aborts.
    ///
    /// A separate thread handles the signals for the rest of the process's life, so they work even
    /// while the executor and the blocking pool are busy. Call this once.
    ///
    /// Signals that the parent process has blocked work as well, since the thread unblocks them. If
    /// INT is ignored, it stays ignored, as in a job that a shell without job control has started
    /// with `&`. (On Linux this is read from `/proc`.) TERM always works.
    ///
    /// # Errors
    ///
    /// An error of the system if the signal handlers cannot be installed, or the thread cannot be
    /// spawned.
    ///
    /// # Examples
    ///
    /// ```
    /// let shutdown = halves::Shutdown::on_signals()?;
    /// # let _ =
    /// halves::Server::default().shutdown(shutdown);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::default();
        let switch = shutdown.clone();
        let signals = Signals::catch(&[Signal::Term, Signal::Int])?;
        signals.watch("halves-signals", move |signal| {
            switch.0.signal.store(signal as i32, Ordering::Relaxed);
            if switch.is_draining() {
                switch.abort();
            } else {
                switch.drain();
            }
        })?;
        Ok(shutdown)
    }

    /// Returns the number of the last signal that [`on_signals`](Self::on_signals) has received.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Shutdown::default().signal(), None);
    /// ```
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        Some(self.0.signal.load(Ordering::Relaxed)).filter(|&number| number != 0)
    }

    fn level(&self) -> u8 {
        self.0.level.load(Ordering::SeqCst)
    }

    fn raise(&self, level: u8) {
        self.0.level.fetch_max(level, Ordering::SeqCst);
        self.0.changed.notify(usize::MAX);
    }

    async fn wait_for_level(&self, level: u8) {
        while self.level() < level {
            let changed = self.0.changed.listen();
            if self.level() < level {
                changed.await;
            }
        }
    }
}
