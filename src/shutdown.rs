//! How a server is told to end, and how a handler hears of it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

use async_signal::Signal;
use event_listener::Event;

use crate::signals::Signals;

const DRAINING: u8 = 1;
const ABORTING: u8 = 2;

/// Ends servers: first politely, then by force.
///
/// Clones are handles to the same switch, from any thread. It only moves forward: serving,
/// draining, aborting. One `Shutdown` may be given to several servers.
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
pub struct Shutdown(Arc<State>);

#[derive(Debug, Default)]
struct State {
    level: AtomicU8,
    /// The last signal that moved us, 0 for none: a command's exit code tells of it.
    signal: AtomicI32,
    changed: Event,
}

impl Shutdown {
    /// Stop accepting, let connections finish until the server's drain deadline.
    ///
    /// # Examples
    ///
    /// ```
    /// halves::Shutdown::default().drain();
    /// ```
    pub fn drain(&self) {
        self.raise(DRAINING);
    }

    /// Stop accepting and reset every connection now.
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

    /// Whether [`drain`](Self::drain) or [`abort`](Self::abort) was called.
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

    /// Whether [`abort`](Self::abort) was called.
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

    /// Waits until the server is told to end. Cancel-safe.
    ///
    /// A handler that works on its own, without input, waits for this beside its work; a handler
    /// that waits for input may use [`Reader::read_or_drain`](crate::Reader::read_or_drain).
    ///
    /// # Examples
    ///
    /// ```
    /// let shutdown = halves::Shutdown::default();
    /// shutdown.drain();
    /// smol::block_on(shutdown.requested());
    /// ```
    pub async fn requested(&self) {
        self.reached(DRAINING).await;
    }

    /// Waits until the server is told to end by force. Cancel-safe.
    ///
    /// # Examples
    ///
    /// ```
    /// let shutdown = halves::Shutdown::default();
    /// shutdown.abort();
    /// smol::block_on(shutdown.forced());
    /// ```
    pub async fn forced(&self) {
        self.reached(ABORTING).await;
    }

    /// A switch that the process's signals move: the first TERM or INT drains, the second aborts.
    ///
    /// The signals are watched for the rest of the process's life, on a thread of their own, so
    /// that they are heard even while the executor and the blocking pool are busy. Call it once.
    ///
    /// A signal that the parent process had blocked is heard as well: that thread unblocks it. INT that
    /// is ignored stays ignored, as in a job that a shell without job control started with `&`; Linux
    /// tells that in `/proc`. TERM is always heard.
    ///
    /// # Errors
    ///
    /// What the system says when the handlers cannot be installed, or there is no thread to be had.
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
        let told = shutdown.clone();
        let signals = Signals::catch(&[Signal::Term, Signal::Int])?;
        signals.watch("halves-signals", move |signal| {
            told.0.signal.store(signal as i32, Ordering::Relaxed);
            if told.is_draining() {
                told.abort();
            } else {
                told.drain();
            }
        })?;
        Ok(shutdown)
    }

    /// The number of the last signal that [`on_signals`](Self::on_signals) heard.
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

    async fn reached(&self, level: u8) {
        while self.level() < level {
            let changed = self.0.changed.listen();
            if self.level() < level {
                changed.await;
            }
        }
    }
}
