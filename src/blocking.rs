//! Threads for calls that block: started when there is none that is idle.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use async_task::{Runnable, Task};

/// The most threads. Further calls wait for one of them.
const MOST: usize = 500;
/// How long a thread waits for its next call before it ends.
const IDLE: Duration = Duration::from_millis(500);

static POOL: Pool = Pool {
    state: Mutex::new(State {
        queue: VecDeque::new(),
        idle: 0,
        threads: 0,
    }),
    called: Condvar::new(),
};

struct Pool {
    state: Mutex<State>,
    called: Condvar,
}

struct State {
    queue: VecDeque<Runnable>,
    idle: usize,
    threads: usize,
}

/// The result of a call on a thread of the pool. Dropping it cancels a call that has not begun, and
/// leaves another one alone. A panic of the call goes on where this is awaited.
#[derive(Debug)]
pub(crate) enum Call<T> {
    Started(Task<io::Result<T>>),
    /// There was no thread; none once that is told.
    Refused(Option<io::Error>),
}

/// Makes a call on a thread of the pool, from now on. It fails where there is no thread to be had.
pub(crate) fn unblock<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Call<T> {
    // It is run once, and never woken.
    let (runnable, task) = async_task::Builder::new()
        .propagate_panic(true)
        .spawn(|()| async { call() }, drop);
    match POOL.start(runnable, |work| {
        thread::Builder::new()
            .name("halves-blocking".into())
            .spawn(work)
    }) {
        Ok(()) => Call::Started(task),
        Err(error) => {
            task.detach();
            Call::Refused(Some(no_thread(&error)))
        }
    }
}

fn no_thread(error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("no thread for a call that blocks: {error}"),
    )
}

impl<T> Call<T> {
    /// Lets a call go on alone. It fails where there was no thread.
    pub(crate) fn detach(self) -> io::Result<()> {
        match self {
            Self::Started(task) => {
                task.detach();
                Ok(())
            }
            Self::Refused(error) => Err(error.unwrap_or_else(again)),
        }
    }
}

impl<T> Future for Call<T> {
    type Output = io::Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Started(task) => Pin::new(task).poll(cx),
            Self::Refused(error) => Poll::Ready(Err(error.take().unwrap_or_else(again))),
        }
    }
}

fn again() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

impl Pool {
    fn start<T>(
        &'static self,
        call: Runnable,
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> io::Result<T>,
    ) -> io::Result<()> {
        let mut state = self.lock();
        if state.queue.len() < state.idle || state.threads >= MOST {
            state.queue.push_back(call);
            self.called.notify_one();
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        let started = spawn(Box::new(move || self.work(call)));
        started.map(drop).inspect_err(|_| self.lock().threads -= 1)
    }

    /// What a thread does: this call, and those that come next.
    fn work(&self, first: Runnable) {
        first.run();
        loop {
            let mut state = self.lock();
            if state.queue.is_empty() {
                state.idle += 1;
                let waited = self
                    .called
                    .wait_timeout_while(state, IDLE, |state| state.queue.is_empty());
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                state.idle -= 1;
            }
            let Some(next) = state.queue.pop_front() else {
                state.threads -= 1;
                return;
            };
            drop(state);
            next.run();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;

    /// Leaked, as a pool is for the life of the process.
    fn pool() -> &'static Pool {
        let state = State {
            queue: VecDeque::new(),
            idle: 0,
            threads: 0,
        };
        Box::leak(Box::new(Pool {
            state: Mutex::new(state),
            called: Condvar::new(),
        }))
    }

    fn call() -> (Runnable, Task<i32>) {
        async_task::spawn(async { 5 }, drop)
    }

    #[test]
    fn where_no_thread_is_to_be_had_a_call_fails_and_the_next_one_may_not() {
        let pool = pool();
        let (runnable, _task) = call();
        let refused = pool.start(runnable, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        assert!(refused.is_err());
        assert_eq!(pool.lock().threads, 0);
        let (runnable, task) = call();
        pool.start(runnable, |work| Ok(thread::spawn(work)))
            .expect("started");
        assert_eq!(smol::block_on(task), 5);
    }

    #[test]
    fn a_refused_call_is_an_error_for_whoever_awaits_or_detaches_it() {
        let refused = || Call::<()>::Refused(Some(no_thread(&again())));
        for error in [smol::block_on(refused()), refused().detach()] {
            let error = error.expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            assert!(error.to_string().starts_with("no thread"), "{error}");
        }
    }

    #[test]
    fn calls_return_values_errors_and_panics() {
        smol::block_on(async {
            let calls: Vec<_> = (0..100).map(|n| unblock(move || Ok(n))).collect();
            for (n, call) in calls.into_iter().enumerate() {
                assert_eq!(call.await.expect("called"), n);
            }
            let error = unblock(|| Err::<(), _>(io::ErrorKind::NotFound.into())).await;
            assert_eq!(
                error.expect_err("not found").kind(),
                io::ErrorKind::NotFound
            );
        });
        let call = unblock::<()>(|| resume_unwind(Box::new("asked to")));
        let panicked = catch_unwind(AssertUnwindSafe(|| smol::block_on(call)));
        let payload = panicked.expect_err("it goes on here");
        assert_eq!(payload.downcast_ref(), Some(&"asked to"));
    }
}
