//! The last resort: an end that is due and does not come is made.

use std::io;
use std::process;
use std::thread;
use std::time::Duration;

use futures_lite::future;
use halves::{Clock, Shutdown};

use super::{ABORTED, FORCED};

/// What the server may take to end when it is due: it gives connections' tasks a second to go, the
/// service manager a quarter, and the log another.
const PATIENCE: Duration = Duration::from_millis(1600);

/// Ends the process when the `longest` drain, with its delay, has passed, or a second signal came, and it is still
/// there: a handler that blocks its thread blocks everything else on it, also what would end it.
pub(super) fn start(shutdown: &Shutdown, longest: Duration) -> io::Result<()> {
    watch(shutdown.clone(), longest, |code| {
        process::exit(code.into());
    })
}

/// The exit code of an end that was forced, or that had to abort connections.
pub(super) fn code(shutdown: &Shutdown) -> u8 {
    if !shutdown.is_aborting() {
        return ABORTED;
    }
    let signal = shutdown.signal().unwrap_or_default();
    FORCED | u8::try_from(signal).unwrap_or_default()
}

fn watch(
    shutdown: Shutdown,
    longest: Duration,
    end: impl FnOnce(u8) + Send + 'static,
) -> io::Result<()> {
    thread::Builder::new()
        .name("halves-watchdog".into())
        .spawn(move || {
            smol::block_on(async {
                let clock = Clock::default();
                shutdown.requested().await;
                future::or(shutdown.forced(), clock.sleep(longest)).await;
                clock.sleep(PATIENCE).await;
            });
            end(code(&shutdown));
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn watched(shutdown: &Shutdown, longest: Duration) -> Receiver<u8> {
        let (ended, end) = channel();
        let told = move |code| ended.send(code).expect("the test waits");
        watch(shutdown.clone(), longest, told).expect("a thread");
        end
    }

    #[test]
    fn a_forced_end_is_made() {
        let shutdown = Shutdown::default();
        let end = watched(&shutdown, Duration::MAX);
        shutdown.drain();
        let early = end.recv_timeout(Duration::from_millis(50));
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        shutdown.abort();
        assert_eq!(end.recv_timeout(LONG), Ok(FORCED));
    }

    #[test]
    fn an_end_that_is_due_is_made() {
        let shutdown = Shutdown::default();
        let end = watched(&shutdown, Duration::from_millis(1));
        let early = end.recv_timeout(Duration::from_millis(50));
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        shutdown.drain();
        assert_eq!(end.recv_timeout(LONG), Ok(ABORTED));
    }
}
