//! The executor of this crate: runs tasks on one thread, or on several.

#[cfg(all(target_os = "linux", not(halves_portable)))]
mod native;
#[cfg(not(all(target_os = "linux", not(halves_portable))))]
mod portable;

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_task::Task;

pub use crate::spawn::{Spawn, spawn_fn};
#[cfg(all(target_os = "linux", not(halves_portable)))]
use native::Backend;
#[cfg(not(all(target_os = "linux", not(halves_portable))))]
use portable::Backend;

/// Runs tasks on the thread that calls [`block_on`](Self::block_on), or on
/// [threads of its own](Self::threads).
///
/// Clones are handles to the same executor. When the last one is dropped, its threads end and the
/// remaining tasks are dropped. A server runs on any other executor as well, through [`Spawn`].
///
/// # Examples
///
/// ```
/// let ex = halves::Executor::new();
/// let sum = ex.block_on(async { ex.spawn(async { 1 + 1 }).await });
/// assert_eq!(sum, 2);
/// ```
#[derive(Clone, Debug)]
pub struct Executor(Arc<Backend>);

impl Executor {
    /// An executor without threads of its own: tasks run only during a
    /// [`block_on`](Self::block_on).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Executor::new().block_on(async { 5 }), 5);
    /// ```
    ///
    /// # Panics
    ///
    /// If the system refuses an epoll instance. [`try_threads`](Self::try_threads) returns the
    /// error instead.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An executor that runs tasks on `threads` threads.
    ///
    /// With 1, tasks run on the thread that calls [`block_on`](Self::block_on), during the call.
    /// With more, so many threads are started here, and run tasks until the executor is dropped.
    ///
    /// The threads share their tasks. A task that is woken by another task usually runs on the same
    /// thread. An idle thread takes tasks from a thread that has many.
    ///
    /// A task that blocks its thread delays other tasks by about 4 ms if another thread is free,
    /// plus the time that the system takes to schedule that thread. This bound covers tasks,
    /// sockets, sleeps, and small writes that earlier tasks have left for the end of the turn. A
    /// task inside the `block_on` of another executor blocks its thread in this sense.
    ///
    /// While no task runs, no thread wakes up.
    ///
    /// # Panics
    ///
    /// If the system refuses a thread or an epoll instance. [`try_threads`](Self::try_threads)
    /// returns the error instead.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::num::NonZero;
    ///
    /// let ex = halves::Executor::threads(NonZero::new(2).unwrap());
    /// assert_eq!(ex.block_on(ex.spawn(async { 5 })), 5);
    /// ```
    #[must_use]
    pub fn threads(threads: NonZeroUsize) -> Self {
        Self::try_threads(threads).expect("threads and an epoll instance for an executor")
    }

    /// As [`threads`](Self::threads), but returns an error instead of panicking.
    ///
    /// # Errors
    ///
    /// The system's error if it refuses a thread or an epoll instance.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::num::NonZero;
    ///
    /// let ex = halves::Executor::try_threads(NonZero::new(2).unwrap())?;
    /// assert_eq!(ex.block_on(ex.spawn(async { 5 })), 5);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_threads(threads: NonZeroUsize) -> io::Result<Self> {
        Backend::new(threads).map(|backend| Self(Arc::new(backend)))
    }

    /// Starts a task. Dropping the [`Task`] cancels it; after [`detach`](Task::detach) it runs on
    /// without a handle.
    ///
    /// # Examples
    ///
    /// ```
    /// let ex = halves::Executor::new();
    /// ex.spawn(async { println!("hello") }).detach();
    /// ```
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        self.0.spawn(future)
    }

    /// Runs a future on this thread until it is done. An executor without threads of its own also
    /// runs its tasks here meanwhile.
    ///
    /// Tasks that are not done then keep their state. The next `block_on` continues them, or one
    /// that already waits on another thread. Several threads may be in `block_on` of one executor
    /// at once, one call each. If the caller is a task of another executor, the other tasks of its
    /// thread wait until the future is done.
    ///
    /// In a task, do not use another runtime's blocking wait, such as `smol::block_on`, to wait for
    /// a socket of this thread or for a [`Sleep`](crate::time::Sleep). It holds the thread that
    /// reports the readiness of the socket and the end of the sleep, so the wait may never end.
    ///
    /// # Panics
    ///
    /// If this thread is already in a task or in a `block_on` of this executor: the outer call
    /// could not continue before the inner one ends. Await the future there, or spawn it.
    ///
    /// If another thread already runs the tasks, and the system refuses the epoll instance to wait
    /// beside it.
    ///
    /// On Linux, in the child of a fork, if the executor was made before the fork: parent and child
    /// would receive the events of the same sockets. A new executor in the child works, also with
    /// inherited sockets. (A child that calls exec is not affected.)
    ///
    /// # Examples
    ///
    /// ```
    /// let ex = halves::Executor::new();
    /// assert_eq!(ex.block_on(async { 5 }), 5);
    /// ```
    #[track_caller]
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let _guard = EnterGuard::enter(self.0.id());
        self.0.block_on(future)
    }
}

impl<F> Spawn<F> for Executor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn spawn_detached(&self, task: F) {
        self.spawn(task).detach();
    }
}

impl Default for Executor {
    fn default() -> Self {
        Self::threads(NonZeroUsize::MIN)
    }
}

/// Identifies an executor. An id is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ExecutorId(usize);

impl ExecutorId {
    fn new() -> Self {
        static NEXT_ID: AtomicUsize = AtomicUsize::new(0);
        Self(NEXT_ID.fetch_add(1, Ordering::Relaxed))
    }
}

thread_local! {
    /// The executors that this thread runs or waits in, the innermost last.
    static ENTERED_IDS: RefCell<Vec<ExecutorId>> = const { RefCell::new(Vec::new()) };
}

/// Marks this thread, while it lives, as one that runs an executor or waits in its `block_on`.
struct EnterGuard(());

impl EnterGuard {
    /// # Panics
    ///
    /// If this thread has entered the executor already.
    #[track_caller]
    fn enter(id: ExecutorId) -> Self {
        let again = ENTERED_IDS.with_borrow(|entered| entered.contains(&id));
        assert!(
            !again,
            "`block_on` within a task or a `block_on` of the same executor: \
             await the future there, or spawn it"
        );
        ENTERED_IDS.with_borrow_mut(|entered| entered.push(id));
        Self(())
    }
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        ENTERED_IDS.with_borrow_mut(Vec::pop);
    }
}
