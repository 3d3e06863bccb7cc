//! The thread pool for blocking calls. It starts a thread when none is idle.

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

/// The most threads of the pool. Further calls wait for one of them.
const MAX_THREADS: usize = 500;
/// The time that a thread waits for its next call before it ends.
const IDLE_TIMEOUT: Duration = Duration::from_millis(500);

static POOL: ThreadPool = ThreadPool::new(start_thread, IDLE_TIMEOUT);

/// The result of a call on a thread of the pool. Its drop cancels a call that has not started; a
/// started call runs to its end. A panic of the call resumes in the task that awaits it.
#[derive(Debug)]
pub(crate) enum Call<T> {
    Started(Task<io::Result<T>>),
    /// The system has refused a thread, with this error.
    Refused(io::Error),
}

/// Starts a call on a thread of the pool. Its result is an error if the system refuses a thread.
pub(crate) fn unblock<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Call<T> {
    // The runnable is run once and never woken.
    let (runnable, task) = async_task::Builder::new()
        .propagate_panic(true)
        .spawn(|()| async { call() }, drop);
    match pool().submit(runnable) {
        Ok(()) => Call::Started(task),
        Err(error) => {
            task.detach();
            Call::Refused(error)
        }
    }
}

#[cfg(not(test))]
fn pool() -> &'static ThreadPool {
    &POOL
}

#[cfg(test)]
use tests::pool;
#[cfg(test)]
pub(crate) use tests::without_threads;

impl<T> Call<T> {
    /// Lets the call run to its end without a handle.
    ///
    /// # Errors
    ///
    /// An error if the system has refused a thread.
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

/// Wraps the error, EAGAIN as a rule: for callers its kind, `WouldBlock`, means a pending poll.
fn no_thread(error: &io::Error) -> io::Error {
    io::Error::other(format!("no thread for a call that blocks: {error}"))
}

struct ThreadPool {
    state: Mutex<PoolState>,
    /// Notified when a call is queued.
    queued: Condvar,
    /// Starts a thread that makes a first call and then queued ones.
    start_thread: fn(&'static ThreadPool, Runnable) -> io::Result<()>,
    /// The time that a thread waits for its next call before it ends.
    idle_timeout: Duration,
}

struct PoolState {
    queue: VecDeque<Runnable>,
    idle_threads: usize,
    threads: usize,
    /// The id of the process that has the threads, once there are any.
    process: u32,
}

fn start_thread(pool: &'static ThreadPool, call: Runnable) -> io::Result<()> {
    let thread = thread::Builder::new().name("halves-blocking".into());
    thread.spawn(move || pool.run_calls(call)).map(drop)
}

impl ThreadPool {
    const fn new(
        start_thread: fn(&'static ThreadPool, Runnable) -> io::Result<()>,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            state: Mutex::new(PoolState {
                queue: VecDeque::new(),
                idle_threads: 0,
                threads: 0,
                process: 0,
            }),
            queued: Condvar::new(),
            start_thread,
            idle_timeout,
        }
    }

    fn submit(&'static self, call: Runnable) -> io::Result<()> {
        let mut state = self.lock();
        state.check_process(process::id());
        if state.queue.len() < state.idle_threads || state.threads >= MAX_THREADS {
            state.queue.push_back(call);
            self.queued.notify_one();
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        (self.start_thread)(self, call).inspect_err(|_| self.lock().threads -= 1)
    }

    /// Runs a call and then queued ones, until none is queued for the idle timeout.
    fn run_calls(&self, mut call: Runnable) {
        loop {
            // The task catches a panic of the call.
            call.run();
            let mut state = self.lock();
            if state.queue.is_empty() {
                state.idle_threads += 1;
                let waited = self
                    .queued
                    .wait_timeout_while(state, self.idle_timeout, |state| state.queue.is_empty());
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                state.idle_threads -= 1;
            }
            let Some(next) = state.queue.pop_front() else {
                state.threads -= 1;
                return;
            };
            call = next;
        }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolState {
    /// Resets the state in the child of a fork, which has none of its parent's threads. The
    /// parent's calls are forgotten, not dropped: a drop would wake the parent's tasks.
    fn check_process(&mut self, process: u32) {
        if self.process != process {
            mem::forget(mem::take(&mut self.queue));
            (self.idle_threads, self.threads) = (0, 0);
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
        /// The pool for the calls of this thread.
        static CURRENT_POOL: Cell<&'static ThreadPool> = const { Cell::new(&POOL) };
        /// The first calls of the threads that `hold` has not started.
        static HELD_CALLS: RefCell<Vec<Runnable>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn pool() -> &'static ThreadPool {
        CURRENT_POOL.get()
    }

    /// Runs `test` with a pool that gets no thread for the calls of this thread.
    pub(crate) fn without_threads<T>(test: impl FnOnce() -> T) -> T {
        CURRENT_POOL.set(leaked(refuse, IDLE_TIMEOUT));
        let result = test();
        CURRENT_POOL.set(&POOL);
        result
    }

    /// A pool that lives as long as the process.
    fn leaked(
        start_thread: fn(&'static ThreadPool, Runnable) -> io::Result<()>,
        idle_timeout: Duration,
    ) -> &'static ThreadPool {
        Box::leak(Box::new(ThreadPool::new(start_thread, idle_timeout)))
    }

    fn refuse(_: &'static ThreadPool, _: Runnable) -> io::Result<()> {
        Err(rustix::io::Errno::AGAIN.into())
    }

    fn hold(_: &'static ThreadPool, call: Runnable) -> io::Result<()> {
        HELD_CALLS
            .try_with(|held| held.borrow_mut().push(call))
            .map_err(io::Error::other)
    }

    /// Runs the held threads, one after another.
    fn run_held(pool: &ThreadPool) {
        for call in HELD_CALLS.take() {
            pool.run_calls(call);
        }
    }

    fn call() -> (Runnable, Task<i32>) {
        async_task::spawn(async { 5 }, drop)
    }

    /// The numbers of threads, idle threads and queued calls.
    fn counts(pool: &ThreadPool) -> (usize, usize, usize) {
        let state = pool.lock();
        (state.threads, state.idle_threads, state.queue.len())
    }

    #[test]
    fn a_refused_thread_is_not_counted() {
        let pool = leaked(refuse, IDLE_TIMEOUT);
        assert!(pool.submit(call().0).is_err());
        assert_eq!(counts(pool), (0, 0, 0));
    }

    /// For an adapter, `WouldBlock` means a pending poll, which nothing would wake here.
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
        let mut submit = || {
            let (call, task) = call();
            pool.submit(call).expect("started or queued");
            tasks.push(task);
        };
        for n in 1..=500 {
            submit();
            assert_eq!(counts(pool), (n, 0, 0));
        }
        submit();
        submit();
        assert_eq!(counts(pool), (500, 0, 2));
        assert_eq!(HELD_CALLS.with_borrow(Vec::len), 500);
        // One thread makes both queued calls, and ends.
        let first = HELD_CALLS.with_borrow_mut(Vec::pop);
        pool.run_calls(first.expect("500"));
        assert_eq!(counts(pool), (499, 0, 0));
        submit();
        assert_eq!(counts(pool), (500, 0, 0));
        run_held(pool);
        assert_eq!(counts(pool), (0, 0, 0));
        for task in tasks {
            assert_eq!(smol::block_on(task), 5);
        }
    }

    #[test]
    fn an_idle_thread_takes_the_next_call() {
        let pool = leaked(start_thread, Duration::MAX);
        for _ in 0..3 {
            let (call, task) = call();
            pool.submit(call).expect("started");
            assert_eq!(smol::block_on(task), 5);
            while counts(pool) != (1, 1, 0) {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn a_thread_ends_after_its_idle_timeout() {
        let pool = leaked(start_thread, Duration::from_millis(1));
        let (call, task) = call();
        pool.submit(call).expect("started");
        assert_eq!(smol::block_on(task), 5);
        while counts(pool) != (0, 0, 0) {
            thread::yield_now();
        }
    }

    #[test]
    fn a_call_dropped_before_its_start_is_not_made() {
        let pool = leaked(hold, Duration::ZERO);
        let (runnable, task) =
            async_task::spawn(async { unreachable!("the call is cancelled") }, drop);
        pool.submit(runnable).expect("started");
        drop::<Task<()>>(task);
        run_held(pool);
        assert_eq!(counts(pool), (0, 0, 0));
    }

    #[test]
    fn a_call_dropped_after_its_start_runs_to_its_end() {
        let (report, reports) = mpsc::channel();
        let (resume, resumed) = mpsc::channel::<()>();
        let call = unblock(move || {
            report.send(()).expect("the test waits");
            resumed.recv().expect("the test resumes the call");
            report.send(()).expect("the test waits");
            Ok(())
        });
        reports.recv().expect("the call starts");
        drop(call);
        resume.send(()).expect("the call waits");
        reports.recv().expect("the call goes on");
    }

    #[test]
    fn a_forked_child_counts_no_thread_of_its_parent() {
        let pool = leaked(hold, IDLE_TIMEOUT);
        pool.submit(call().0).expect("started");
        let mut state = pool.lock();
        state.idle_threads = 1;
        state.process = state.process.wrapping_add(1);
        drop(state);
        pool.submit(call().0).expect("started");
        assert_eq!(counts(pool), (1, 0, 0));
        assert_eq!(HELD_CALLS.take().len(), 2);
    }

    #[test]
    fn calls_return_values_errors_and_panics() {
        smol::block_on(async {
            let calls: Vec<_> = (0..100).map(|n| unblock(move || Ok(n))).collect();
            for (n, call) in calls.into_iter().enumerate() {
                assert_eq!(call.await.expect("the call succeeds"), n);
            }
            let error = unblock(|| Err::<(), _>(io::ErrorKind::NotFound.into())).await;
            assert_eq!(
                error.expect_err("not found").kind(),
                io::ErrorKind::NotFound
            );
        });
        let call = unblock::<()>(|| resume_unwind(Box::new("a panic")));
        let panicked = catch_unwind(AssertUnwindSafe(|| smol::block_on(call)));
        let payload = panicked.expect_err("the panic resumes here");
        assert_eq!(payload.downcast_ref(), Some(&"a panic"));
    }
}
