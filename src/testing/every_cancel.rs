//! `every_cancel`: a future that is dropped at each of its awaits, and repeated.

use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures_lite::future::block_on;

/// Checks that a call is cancel-safe: drops its future at each await in turn, calls it again, and
/// compares the result with that of a call that was not dropped. Returns that result.
///
/// `make` makes the state of one attempt, for example a connection made by
/// [`pieces`](super::pieces). `call` is the call on it.
///
/// # Panics
///
/// If a result differs. The message has the number of the await, from 1, and both results.
///
/// # Examples
///
/// ```
/// use halves::testing::{every_cancel, pieces};
///
/// let make = || pieces(["one", " line", "\n"]).0;
/// let line = every_cancel(make, async |c| c.reader.line().await.unwrap());
/// assert_eq!(line.as_deref(), Some(&b"one line\n"[..]));
/// ```
///
/// A call that reads and then writes loses what it has read, if it is dropped while it writes:
///
/// ```should_panic
/// use futures_lite::AsyncWriteExt;
/// use halves::testing::{every_cancel, pieces};
///
/// let make = || pieces(["one\n", "two\n"]).0;
/// every_cancel(make, async |c| {
///     let line = c.reader.line().await.unwrap();
///     c.writer.write_all(line.as_deref().unwrap_or_default()).await.unwrap();
///     line
/// });
/// ```
///
/// `read_exact` of futures-lite is not cancel-safe:
///
/// ```should_panic
/// use futures_lite::AsyncReadExt;
/// use halves::testing::{every_cancel, pieces};
///
/// let make = || pieces(["one", " line", "\n"]).0;
/// every_cancel(make, async |c| {
///     let mut bytes = [0; 8];
///     c.reader.read_exact(&mut bytes).await.map(|()| bytes).map_err(|error| error.kind())
/// });
/// ```
#[expect(
    clippy::needless_pass_by_value,
    reason = "closures are passed by value"
)]
pub fn every_cancel<S, T: PartialEq + Debug>(
    make: impl Fn() -> S,
    call: impl AsyncFn(&mut S) -> T,
) -> T {
    let expected = block_on(call(&mut make()));
    for awaits in 1.. {
        let mut state = make();
        if is_ready_within(awaits, call(&mut state)) {
            break;
        }
        let result = block_on(call(&mut state));
        assert!(
            result == expected,
            "after a drop at await {awaits} the result is {result:?}, and not {expected:?}"
        );
    }
    expected
}

/// Polls a future up to so many times. Returns true if it is ready then.
fn is_ready_within<T>(polls: usize, future: impl Future<Output = T>) -> bool {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    (0..polls).any(|_| matches!(future.as_mut().poll(&mut cx), Poll::Ready(_)))
}
