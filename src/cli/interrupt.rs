//! Signals that end a command at once.

use std::io;

use async_signal::Signal;
use futures_lite::future;
use halves::Signals;

/// Waits for a future, or for the first of INT, TERM and HUP: its number is the inner error. The
/// future is dropped then.
pub(super) async fn or_signal<T>(future: impl Future<Output = T>) -> io::Result<Result<T, u8>> {
    let mut signals = catch().map_err(|error| failed("catch", &error))?;
    let signal = async {
        match signals.next().await {
            Ok(signal) => Ok(Err(signal as u8)),
            Err(error) => Err(failed("read", &error)),
        }
    };
    future::or(async { Ok(Ok(future.await)) }, signal).await
}

fn catch() -> io::Result<Signals> {
    // A write beyond the file size limit is an error then, and no signal that ends the process.
    drop(Signals::catch(&[Signal::Xfsz])?);
    Signals::catch(&[Signal::Int, Signal::Term, Signal::Hup])
}

fn failed(action: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {action} signals: {error}"))
}
