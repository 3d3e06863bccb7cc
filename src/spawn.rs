//! The interface between a server and the executor that runs its tasks.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

/// Spawns detached tasks.
///
/// The trait is generic over the future, so each executor decides whether it accepts futures that
/// are not `Send`. It is implemented for [`Executor`](crate::Executor), for `Executor` and
/// `LocalExecutor` of `async-executor` (which smol re-exports), and for references, `Rc` and `Arc`
/// of any of them. For another runtime, [`spawn_fn`] wraps its spawn function.
///
/// # Examples
///
/// ```
/// use halves::Spawn;
///
/// let ex = smol::LocalExecutor::new();
/// ex.spawn_detached(async { /* runs while `ex` is run */ });
/// assert!(ex.try_tick());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not run the tasks of a server",
    label = "not an executor",
    note = "these do: `&halves::Executor`, `&smol::Executor`, `&smol::LocalExecutor`, and `Rc` or `Arc` of one",
    note = "for any other runtime, wrap its spawn function: `spawn_fn(|task| drop(tokio::spawn(task)))`"
)]
pub trait Spawn<F: Future> {
    /// Spawns `task`, which runs to its end without a handle.
    ///
    /// The name is not `spawn`, so that it does not shadow a method of the executor.
    fn spawn_detached(&self, task: F);
}

/// Makes a [`Spawn`] from the spawn function of any runtime.
///
/// # Examples
///
/// A server on tokio is `halves::serve(spawn_fn(|task| drop(tokio::spawn(task))), …)`. This example
/// spawns each task on a thread:
///
/// ```
/// use halves::{Spawn, spawn_fn};
///
/// let (sender, receiver) = std::sync::mpsc::channel();
/// let threads = spawn_fn(|task| drop(std::thread::spawn(|| smol::block_on(task))));
/// threads.spawn_detached(async move { sender.send(1).expect("the receiver waits") });
/// assert_eq!(receiver.recv(), Ok(1));
/// ```
pub fn spawn_fn<F: Future>(spawn: impl Fn(F)) -> impl Spawn<F> {
    SpawnFn(spawn)
}

struct SpawnFn<S>(S);

impl<F: Future, S: Fn(F)> Spawn<F> for SpawnFn<S> {
    fn spawn_detached(&self, task: F) {
        (self.0)(task);
    }
}

impl<'a, F> Spawn<F> for async_executor::Executor<'a>
where
    F: Future<Output = ()> + Send + 'a,
{
    fn spawn_detached(&self, task: F) {
        self.spawn(task).detach();
    }
}

impl<'a, F> Spawn<F> for async_executor::LocalExecutor<'a>
where
    F: Future<Output = ()> + 'a,
{
    fn spawn_detached(&self, task: F) {
        self.spawn(task).detach();
    }
}

impl<F: Future, S: Spawn<F> + ?Sized> Spawn<F> for &S {
    fn spawn_detached(&self, task: F) {
        (**self).spawn_detached(task);
    }
}

impl<F: Future, S: Spawn<F> + ?Sized> Spawn<F> for Rc<S> {
    fn spawn_detached(&self, task: F) {
        (**self).spawn_detached(task);
    }
}

impl<F: Future, S: Spawn<F> + ?Sized> Spawn<F> for Arc<S> {
    fn spawn_detached(&self, task: F) {
        (**self).spawn_detached(task);
    }
}
