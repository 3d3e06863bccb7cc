//! Our own small executor: tasks on one thread, or on several.

mod entered;
#[cfg(all(target_os = "linux", not(halves_portable)))]
mod native;
#[cfg(not(all(target_os = "linux", not(halves_portable))))]
mod portable;

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_task::Task;

pub use crate::spawn::{Spawn, spawn_fn};
use entered::Entered;
#[cfg(all(target_os = "linux", not(halves_portable)))]
use native::Pool;
#[cfg(not(all(target_os = "linux", not(halves_portable))))]
use portable::Pool;

/// Runs tasks on the thread that calls [`block_on`](Self::block_on), and with
/// [`threads`](Self::threads) on others beside it.
///
/// Clones are handles to the same executor. When the last one is dropped, its threads end and the
/// tasks that are left are dropped. Any other executor serves as well, see [`Spawn`].
///
/// # Examples
///
/// ```
/// let ex = halves::Executor::new();
/// let sum = ex.block_on(async { ex.spawn(async { 1 + 1 }).await });
/// assert_eq!(sum, 2);
/// ```
#[derive(Clone, Debug)]
pub struct Executor(Arc<Pool>);

impl Executor {
    /// An executor without threads of its own: tasks run while somebody is in
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
    /// When the system gives us no epoll instance; [`try_threads`](Self::try_threads) does not.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An executor that runs tasks on `threads` threads: on the one that calls
    /// [`block_on`](Self::block_on) if it is 1, else on as many that are started here, which run
    /// tasks all the time.
    ///
    /// The threads share their tasks: a task that a task wakes runs on the same thread, as a rule, and an
    /// idle thread takes tasks of one that has many. A task that blocks its thread delays others by
    /// about 4 ms while another thread is free, and the time that the system takes to run that
    /// thread. That covers tasks, sockets, sleeps, and small writes that earlier tasks have left for
    /// the end of the turn. A task that is in the `block_on` of another executor blocks its thread in
    /// this sense.
    ///
    /// While no task runs, no thread wakes up.
    ///
    /// # Panics
    ///
    /// When the system does not give us the threads, or an epoll instance;
    /// [`try_threads`](Self::try_threads) does not.
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
        Self::try_threads(threads).expect("the system gives us a thread")
    }

    /// As [`threads`](Self::threads), where a system that refuses is no reason to panic.
    ///
    /// # Errors
    ///
    /// What the system says when it does not give us the threads.
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
        Pool::new(threads).map(|pool| Self(Arc::new(pool)))
    }

    /// Starts a task. Dropping the [`Task`] cancels it; [`detach`](Task::detach) lets it go on
    /// alone.
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

    /// Runs a future on this thread, and tasks beside it, until the future is done. Tasks that
    /// are not done then stay where they are; the next `block_on` goes on with them, or one that is
    /// on another thread already. Several threads may be in `block_on` of one executor at once, one
    /// call each. Within a task of another executor, the other tasks of its thread wait until the
    /// future is done.
    ///
    /// In a task, another runtime's blocking wait, such as `smol::block_on`, may not wait for a
    /// socket of this thread, or for a [`Sleep`](crate::time::Sleep): it holds the thread, which is the
    /// one that hears of the socket, and of the time.
    ///
    /// # Panics
    ///
    /// When this thread is in a task or in a `block_on` of this executor already: the outer call
    /// could not go on before the inner one ends. Await the future there, or spawn it.
    ///
    /// When another thread runs the tasks already, and the system gives us no epoll instance to
    /// wait beside it.
    ///
    /// On Linux, in the child of a fork, for an executor from before that: both would hear of the
    /// same sockets. The child makes a new executor, which works also with the sockets that it
    /// inherits. (A child that calls exec is no such child.)
    ///
    /// # Examples
    ///
    /// ```
    /// let ex = halves::Executor::new();
    /// assert_eq!(ex.block_on(async { 5 }), 5);
    /// ```
    #[track_caller]
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        let _entered = Entered::enter(self.0.id());
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
