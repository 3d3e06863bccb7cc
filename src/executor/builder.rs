//! The settings of an executor.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::{Executor, Pool};

/// The settings of an [`Executor`]; made by [`Executor::builder`].
///
/// # Examples
///
/// ```
/// use std::num::NonZero;
///
/// let threads = NonZero::new(2).unwrap();
/// let ex = halves::Executor::builder().threads(threads).build()?;
/// assert_eq!(ex.block_on(ex.spawn(async { 5 })), 5);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "settings do nothing until an executor is built"]
pub struct ExecutorBuilder {
    pub(super) threads: NonZeroUsize,
    pub(super) pin: bool,
    pub(super) spin: Duration,
}

impl ExecutorBuilder {
    /// A longer [`spin`](Self::spin) is a mistake: one second.
    pub const MAX_SPIN: Duration = Duration::from_secs(1);

    /// On how many threads tasks run, see [`Executor::threads`]. The default is 1.
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = threads;
        self
    }

    /// Keeps each thread that runs tasks on a CPU of its own: the first on the first of those
    /// that the thread which builds may use, and so on. Where tasks run in
    /// [`block_on`](Executor::block_on), that thread is pinned while it runs them, and may go
    /// where it could before when it returns. The default is not to.
    ///
    /// This pays where nothing else runs on those CPUs, and costs dearly where something does: a
    /// thread that has to wait for its CPU cannot move to one that is free. Threads and processes
    /// that a task starts inherit the CPU of the thread that runs it.
    ///
    /// Linux only.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let ex = halves::Executor::builder().pin(true).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn pin(mut self, pin: bool) -> Self {
        self.pin = pin;
        self
    }

    /// How long a thread that has run out of tasks looks for readiness again and again before it
    /// sleeps; at most [`MAX_SPIN`](Self::MAX_SPIN). Zero, the default, is not at all.
    ///
    /// Some 50 microseconds spare clients that answer at once, from another CPU, the time that it
    /// takes to wake a thread. The price is CPU time. Spins that find nothing, some in a row, make
    /// the next ones rare, until sleeps are so short again that a spin would have spared them: so
    /// a server without traffic uses none, and one that shares its CPU with its clients little.
    ///
    /// Linux only.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// let spin = Duration::from_micros(50);
    /// let ex = halves::Executor::builder().spin(spin).build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spin(mut self, longest: Duration) -> Self {
        self.spin = longest;
        self
    }

    /// Starts the executor.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) when there are more threads to pin than CPUs
    /// to use, or when the spin is too long; [`Unsupported`](io::ErrorKind::Unsupported) when
    /// threads are to be pinned or to spin elsewhere than on Linux; what the system says when it
    /// does not give us a thread, or does not let us pin it.
    pub fn build(self) -> io::Result<Executor> {
        if self.spin > Self::MAX_SPIN {
            let problem = "a spin may take 1 s at most";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        Pool::new(&self).map(|pool| Executor(Arc::new(pool)))
    }
}

impl Default for ExecutorBuilder {
    fn default() -> Self {
        Self {
            threads: NonZeroUsize::MIN,
            pin: false,
            spin: Duration::ZERO,
        }
    }
}
