//! Ends the process if the server does not end when it is due.

use std::io;
use std::process;
use std::thread;
use std::time::Duration;

use futures_lite::future;
use halves::{Clock, Shutdown};

use super::{EXIT_ABORTED, EXIT_SIGNALED};

/// The time that the server has after its deadline: tasks have a second to end, and a quarter of a
/// second each the administrative listeners, the service manager and the log.
const EXIT_GRACE: Duration = Duration::from_millis(1850);

/// Starts a thread that ends the process [`EXIT_GRACE`] after the `longest` drain, with its delay,
/// or after a second signal. A handler that blocks its thread also blocks the tasks that would end
/// the server. `finish` is called last, and must not take long.
pub(super) fn start(
    shutdown: &Shutdown,
    longest: Duration,
    finish: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    watch(shutdown.clone(), longest, |code| {
        finish();
        process::exit(code.into());
    })
}

/// Returns the exit code of an end that a signal forced, or that aborted connections.
pub(super) fn code(shutdown: &Shutdown) -> u8 {
    match shutdown.signal() {
        Some(signal) if shutdown.is_aborting() => {
            EXIT_SIGNALED | u8::try_from(signal).unwrap_or_default()
        }
        _ => EXIT_ABORTED,
    }
}

fn watch(
    shutdown: Shutdown,
    longest: Duration,
    exit: impl FnOnce(u8) + Send + 'static,
) -> io::Result<()> {
    thread::Builder::new()
        .name("halves-watchdog".into())
        .spawn(move || {
            smol::block_on(async {
                let clock = Clock::default();
                shutdown.requested().await;
                future::or(shutdown.forced(), clock.sleep(longest)).await;
                clock.sleep(EXIT_GRACE).await;
            });
            exit(code(&shutdown));
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

    use super::*;

    const TEST_TIMEOUT: Duration = Duration::from_secs(20);

    fn watched(shutdown: &Shutdown, longest: Duration) -> Receiver<u8> {
        let (sender, codes) = channel();
        let exit = move |code| sender.send(code).expect("the test waits");
        watch(shutdown.clone(), longest, exit).expect("a thread");
        codes
    }

    #[test]
    fn an_abort_forces_the_exit() {
        let shutdown = Shutdown::default();
        let codes = watched(&shutdown, Duration::MAX);
        shutdown.drain();
        let early = codes.recv_timeout(Duration::from_millis(50));
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        shutdown.abort();
        assert_eq!(codes.recv_timeout(TEST_TIMEOUT), Ok(EXIT_ABORTED));
    }

    #[test]
    fn a_passed_deadline_forces_the_exit() {
        let shutdown = Shutdown::default();
        let codes = watched(&shutdown, Duration::from_millis(1));
        let early = codes.recv_timeout(Duration::from_millis(50));
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        shutdown.drain();
        assert_eq!(codes.recv_timeout(TEST_TIMEOUT), Ok(EXIT_ABORTED));
    }
}
