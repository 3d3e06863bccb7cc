//! The seam between a server and whoever runs its tasks.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

/// Runs a future to its end, with nobody waiting for it.
///
/// The trait is generic over the future, so each executor decides by itself whether it takes
/// futures that are not `Send`. It is implemented for [`Executor`](crate::Executor), for
/// `async-executor`'s `Executor` and `LocalExecutor` (which are smol's), and for references,
/// `Rc` and `Arc` of any of them. [`spawn_fn`] makes one of any other runtime.
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
    /// Starts `task`. It is not named `spawn`, so that it never hides an executor's own method.
    fn spawn_detached(&self, task: F);
}

/// Makes a [`Spawn`] of any runtime's spawn function.
///
/// # Examples
///
/// A server on tokio is `halves::serve(spawn_fn(|task| drop(tokio::spawn(task))), …)`. The same
/// with threads:
///
/// ```
/// use halves::{Spawn, spawn_fn};
///
/// let (sent, got) = std::sync::mpsc::channel();
/// let threads = spawn_fn(|task| drop(std::thread::spawn(|| smol::block_on(task))));
/// threads.spawn_detached(async move { sent.send(1).expect("the receiver waits") });
/// assert_eq!(got.recv(), Ok(1));
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
