//! Calls that are made again where the kernel reports no readiness.

use std::future::Future;
use std::io;
use std::time::Duration;

use rustix::io::Errno;

use crate::time::Clock;

/// The pauses between two calls: the first, doubled each time, and the longest.
const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

/// Calls `attempt` until it fails with something else than `busy`, or succeeds. It sleeps between two
/// calls, 50 ms at most, so that no thread waits, and none is left behind when this future is dropped.
pub(super) async fn until_not<T, F>(busy: Errno, mut attempt: impl FnMut() -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let clock = Clock::default();
    let mut pause = FIRST;
    loop {
        match attempt().await {
            Err(error) if Errno::from_io_error(&error) == Some(busy) => {}
            result => return result,
        }
        clock.sleep(pause).await;
        pause = (2 * pause).min(LONGEST);
    }
}
