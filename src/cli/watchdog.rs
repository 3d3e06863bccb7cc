//! The last resort: a forced end that does not come is made.

use std::io;
use std::process;
use std::thread;
use std::time::Duration;

use halves::{Clock, Shutdown};

use super::FORCED;

/// What the server may take to end by itself: it gives connections' tasks a second to go, the
/// service manager a quarter, and the log another.
const PATIENCE: Duration = Duration::from_millis(1600);

/// Ends the process when it was told twice and is still there: a handler that blocks its thread
/// blocks everything else on it, also what would end it.
pub(super) fn start(shutdown: &Shutdown) -> io::Result<()> {
    watch(shutdown.clone(), |code| process::exit(code.into()))
}

/// The exit code of a forced end.
pub(super) fn code(shutdown: &Shutdown) -> u8 {
    let signal = shutdown.signal().unwrap_or_default();
    FORCED | u8::try_from(signal).unwrap_or_default()
}

fn watch(shutdown: Shutdown, end: impl FnOnce(u8) + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name("halves-watchdog".into())
        .spawn(move || {
            smol::block_on(async {
                shutdown.forced().await;
                Clock::default().sleep(PATIENCE).await;
            });
            end(code(&shutdown));
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};

    use super::*;

    #[test]
    fn only_a_forced_end_is_made() {
        let shutdown = Shutdown::default();
        let (ended, end) = channel();
        let told = move |code| ended.send(code).expect("the test waits");
        watch(shutdown.clone(), told).expect("a thread");
        shutdown.drain();
        let early = end.recv_timeout(Duration::from_millis(50));
        assert_eq!(early, Err(RecvTimeoutError::Timeout));
        shutdown.abort();
        assert_eq!(end.recv_timeout(Duration::from_secs(20)), Ok(FORCED));
    }
}
