//! Our own small executor: tasks on one thread, or on several.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use async_executor::Task;
use smol::channel::{self, Sender};

use crate::spawn::Spawn;

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
#[derive(Clone, Debug, Default)]
pub struct Executor(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    tasks: Arc<async_executor::Executor<'static>>,
    /// Dropped first, which the workers wait for.
    running: Option<Sender<()>>,
    workers: Vec<JoinHandle<()>>,
}

impl Executor {
    /// An executor without threads of its own: tasks run while somebody is in
    /// [`block_on`](Self::block_on).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(halves::Executor::new().block_on(async { 5 }), 5);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An executor on `threads` threads: the one that calls [`block_on`](Self::block_on), and
    /// the others started here.
    ///
    /// # Panics
    ///
    /// When the system does not give us the threads; [`try_threads`](Self::try_threads) does not.
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
        let tasks = Arc::<async_executor::Executor<'static>>::default();
        let (running, stopped) = channel::bounded::<()>(1);
        let workers = (1..threads.get()).map(|n| {
            let (tasks, stopped) = (tasks.clone(), stopped.clone());
            thread::Builder::new()
                .name(format!("halves-{n}"))
                .spawn(move || {
                    let _ = smol::block_on(tasks.run(stopped.recv()));
                })
        });
        Ok(Self(Arc::new(Inner {
            workers: workers.collect::<io::Result<_>>()?,
            running: Some(running),
            tasks,
        })))
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
        self.0.tasks.spawn(future)
    }

    /// Runs a future on this thread, and tasks beside it, until the future is done. Tasks that
    /// are not done then stay where they are; the next `block_on` goes on with them.
    ///
    /// # Examples
    ///
    /// ```
    /// let ex = halves::Executor::new();
    /// assert_eq!(ex.block_on(async { 5 }), 5);
    /// ```
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        smol::block_on(self.0.tasks.run(future))
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

impl Drop for Inner {
    fn drop(&mut self) {
        self.running = None;
        for worker in self.workers.drain(..) {
            // The last handle may have been dropped by a task of ours, on a worker.
            if worker.thread().id() != thread::current().id() {
                let _ = worker.join();
            }
        }
    }
}
