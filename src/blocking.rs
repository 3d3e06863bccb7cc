//! Threads for calls that block: started when there is none that is idle.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::process;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use async_task::{Runnable, Task};

/// The most threads. Further calls wait for one of them.
const MOST: usize = 500;
/// How long a thread waits for its next call before it ends.
const IDLE: Duration = Duration::from_millis(500);

static POOL: Pool = Pool::new(spawn, IDLE);

/// The result of a call on a thread of the pool. Dropping it cancels a call that has not begun, and
/// leaves another one alone. A panic of the call goes on where this is awaited.
#[derive(Debug)]
pub(crate) enum Call<T> {
    Started(Task<io::Result<T>>),
    /// The system gave no thread, for this reason.
    Refused(io::Error),
}

/// Makes a call on a thread of the pool, from now on. It fails where there is no thread to be had.
pub(crate) fn unblock<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Call<T> {
    // It is run once, and never woken.
    let (runnable, task) = async_task::Builder::new()
        .propagate_panic(true)
        .spawn(|()| async { call() }, drop);
    match pool().start(runnable) {
        Ok(()) => Call::Started(task),
        Err(error) => {
            task.detach();
            Call::Refused(error)
        }
    }
}

#[cfg(not(test))]
fn pool() -> &'static Pool {
    &POOL
}

#[cfg(test)]
use tests::pool;
#[cfg(test)]
pub(crate) use tests::without_threads;

impl<T> Call<T> {
    /// Lets a call go on alone. It fails where there was no thread.
    pub(crate) fn detach(self) -> io::Result<()> {
        match self {
            Self::Started(task) => {
                task.detach();
                Ok(())
            }
            Self::Refused(error) => Err(no_thread(&error)),
        }
    }
}

impl<T> Future for Call<T> {
    type Output = io::Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Started(task) => Pin::new(task).poll(cx),
            Self::Refused(error) => Poll::Ready(Err(no_thread(error))),
        }
    }
}

/// The system reports EAGAIN, whose kind is `WouldBlock`. Callers take that for a poll to repeat.
fn no_thread(error: &io::Error) -> io::Error {
    io::Error::other(format!("no thread for a call that blocks: {error}"))
}

struct Pool {
    state: Mutex<State>,
    called: Condvar,
    /// Starts a thread that works, beginning with a call.
    spawn: fn(&'static Pool, Runnable) -> io::Result<()>,
    /// How long a thread waits for its next call before it ends.
    idle: Duration,
}

struct State {
    queue: VecDeque<Runnable>,
    idle: usize,
    threads: usize,
    /// The id of the process that has the threads, once there are any.
    process: u32,
}

fn spawn(pool: &'static Pool, call: Runnable) -> io::Result<()> {
    let thread = thread::Builder::new().name("halves-blocking".into());
    thread.spawn(move || pool.work(call)).map(drop)
}

impl Pool {
    const fn new(spawn: fn(&'static Pool, Runnable) -> io::Result<()>, idle: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                idle: 0,
                threads: 0,
                process: 0,
            }),
            called: Condvar::new(),
            spawn,
            idle,
        }
    }

    fn start(&'static self, call: Runnable) -> io::Result<()> {
        let mut state = self.lock();
        state.enter(process::id());
        if state.queue.len() < state.idle || state.threads >= MOST {
            state.queue.push_back(call);
            self.called.notify_one();
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        (self.spawn)(self, call).inspect_err(|_| self.lock().threads -= 1)
    }

    /// Runs a call and then those that are queued, until none has come for the time of an idle thread.
    fn work(&self, mut call: Runnable) {
        loop {
            // A panic of the call is with its task.
            call.run();
            let mut state = self.lock();
            if state.queue.is_empty() {
                state.idle += 1;
                let waited = self
                    .called
                    .wait_timeout_while(state, self.idle, |state| state.queue.is_empty());
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                state.idle -= 1;
            }
            let Some(next) = state.queue.pop_front() else {
                state.threads -= 1;
                return;
            };
            call = next;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Starts over in the child of a fork, which has none of its parent's threads. The parent's
    /// calls are not dropped: that would wake its tasks.
    fn enter(&mut self, process: u32) {
        if self.process != process {
            mem::forget(mem::take(&mut self.queue));
            (self.idle, self.threads) = (0, 0);
            self.process = process;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::mpsc;

    use super::*;

    thread_local! {
        /// The pool of the calls that this thread makes.
        static CURRENT: Cell<&'static Pool> = const { Cell::new(&POOL) };
        /// The first calls of the threads that `hold` was asked for.
        static HELD: RefCell<Vec<Runnable>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn pool() -> &'static Pool {
        CURRENT.get()
    }

    /// Runs `test`, where each call that this thread makes is refused a thread.
    pub(crate) fn without_threads<T>(test: impl FnOnce() -> T) -> T {
        CURRENT.set(leaked(refuse, IDLE));
        let result = test();
        CURRENT.set(&POOL);
        result
    }

    /// Leaked, as a pool is for the life of the process.
    fn leaked(
        spawn: fn(&'static Pool, Runnable) -> io::Result<()>,
        idle: Duration,
    ) -> &'static Pool {
        Box::leak(Box::new(Pool::new(spawn, idle)))
    }

    fn refuse(_: &'static Pool, _: Runnable) -> io::Result<()> {
        Err(rustix::io::Errno::AGAIN.into())
    }

    fn hold(_: &'static Pool, call: Runnable) -> io::Result<()> {
        HELD.try_with(|held| held.borrow_mut().push(call))
            .map_err(io::Error::other)
    }

    /// Runs the threads that `hold` was asked for, one after another.
    fn run_held(pool: &Pool) {
        for call in HELD.take() {
            pool.work(call);
        }
    }

    fn call() -> (Runnable, Task<i32>) {
        async_task::spawn(async { 5 }, drop)
    }

    fn count(pool: &Pool) -> (usize, usize, usize) {
        let state = pool.lock();
        (state.threads, state.idle, state.queue.len())
    }

    #[test]
    fn a_thread_that_was_refused_is_not_counted() {
        let pool = leaked(refuse, IDLE);
        assert!(pool.start(call().0).is_err());
        assert_eq!(count(pool), (0, 0, 0));
    }

    /// An adapter takes `WouldBlock` from a poll for one that is pending, without a wake.
    #[test]
    fn a_refused_call_is_an_error_other_than_would_block() {
        without_threads(|| {
            let mut call = unblock(|| Ok(()));
            let errors = [
                smol::block_on(&mut call),
                smol::block_on(&mut call),
                call.detach(),
            ];
            for error in errors {
                let error = error.expect_err("refused");
                assert_eq!(error.kind(), io::ErrorKind::Other);
                let reason = io::Error::from(rustix::io::Errno::AGAIN);
                let text = format!("no thread for a call that blocks: {reason}");
                assert_eq!(error.to_string(), text);
            }
        });
        let again = smol::block_on(unblock(|| Ok(5)));
        assert_eq!(again.expect("called"), 5);
    }

    #[test]
    fn at_most_500_threads_are_started_and_further_calls_are_queued() {
        let pool = leaked(hold, Duration::ZERO);
        let mut tasks = Vec::new();
        let mut start = || {
            let (call, task) = call();
            pool.start(call).expect("started or queued");
            tasks.push(task);
        };
        for n in 1..=500 {
            start();
            assert_eq!(count(pool), (n, 0, 0));
        }
        start();
        start();
        assert_eq!(count(pool), (500, 0, 2));
        assert_eq!(HELD.with_borrow(Vec::len), 500);
        // One thread makes both calls, and ends.
        let first = HELD.with_borrow_mut(Vec::pop);
        pool.work(first.expect("500"));
        assert_eq!(count(pool), (499, 0, 0));
        start();
        assert_eq!(count(pool), (500, 0, 0));
        run_held(pool);
        assert_eq!(count(pool), (0, 0, 0));
        for task in tasks {
            assert_eq!(smol::block_on(task), 5);
        }
    }

    #[test]
    fn an_idle_thread_takes_the_next_call() {
        let pool = leaked(spawn, Duration::MAX);
        for _ in 0..3 {
            let (call, task) = call();
            pool.start(call).expect("started");
            assert_eq!(smol::block_on(task), 5);
            while count(pool) != (1, 1, 0) {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn a_thread_ends_that_was_idle_for_its_time() {
        let pool = leaked(spawn, Duration::from_millis(1));
        let (call, task) = call();
        pool.start(call).expect("started");
        assert_eq!(smol::block_on(task), 5);
        while count(pool) != (0, 0, 0) {
            thread::yield_now();
        }
    }

    #[test]
    fn a_call_that_is_dropped_is_not_made_where_it_has_not_begun() {
        let pool = leaked(hold, Duration::ZERO);
        let (runnable, task) = async_task::spawn(async { unreachable!("it is cancelled") }, drop);
        pool.start(runnable).expect("started");
        drop::<Task<()>>(task);
        run_held(pool);
        assert_eq!(count(pool), (0, 0, 0));
    }

    #[test]
    fn a_call_that_is_dropped_goes_on_where_it_has_begun() {
        let (begin, begun) = mpsc::channel();
        let (go_on, told) = mpsc::channel::<()>();
        let call = unblock(move || {
            begin.send(()).expect("the test waits");
            told.recv().expect("it is told");
            begin.send(()).expect("the test waits");
            Ok(())
        });
        begun.recv().expect("it begins");
        drop(call);
        go_on.send(()).expect("it waits");
        begun.recv().expect("it goes on");
    }

    #[test]
    fn the_child_of_a_fork_counts_no_thread_of_its_parent() {
        let pool = leaked(hold, IDLE);
        pool.start(call().0).expect("started");
        let mut state = pool.lock();
        state.idle = 1;
        state.process = state.process.wrapping_add(1);
        drop(state);
        pool.start(call().0).expect("started");
        assert_eq!(count(pool), (1, 0, 0));
        assert_eq!(HELD.take().len(), 2);
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
