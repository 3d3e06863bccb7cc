//! One question to a handler, and its answer.

use std::future::Future;
use std::io::{self, ErrorKind};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};

use super::pair;
use crate::connection::Connection;

/// Runs a handler on one end of a connection in memory, sends it `input` and the end of input, and
/// returns all that it writes, when it has returned and both of its halves are dropped.
///
/// For tests. It writes and reads at the same time, so that neither side waits for the other for ever.
/// The connection holds one byte each way, so the handler gets each byte alone. Input that the handler
/// does not read is discarded. There is no server: the connection has no deadline and no drain.
///
/// Cancel-safe: when the future is dropped, the handler is, too.
///
/// # Errors
///
/// That of the handler.
///
/// # Examples
///
/// ```
/// use futures_lite::{AsyncWriteExt, future};
/// use halves::Connection;
/// use halves::listener::memory;
///
/// async fn greet(mut c: Connection) -> std::io::Result<()> {
///     let name = c.reader.line().await?.unwrap_or_default();
///     c.writer.write_all(b"Hello, ").await?;
///     c.writer.write_all(&name).await
/// }
///
/// let answer = future::block_on(memory::ask(greet, "Ada\n"))?;
/// assert_eq!(answer, b"Hello, Ada\n");
/// # std::io::Result::Ok(())
/// ```
pub async fn ask<H, F>(handler: H, input: impl AsRef<[u8]>) -> io::Result<Vec<u8>>
where
    H: FnOnce(Connection) -> F,
    F: Future<Output = io::Result<()>>,
{
    let (here, there) = pair(1);
    let (mut reader, mut writer) = (here.reader, here.writer);
    // The block drops the handler's future, and what that may hold, as soon as it is ready.
    let answer = async { handler(there.erase()).await };
    let write = async {
        let written = writer.write_all(input.as_ref()).await;
        match written.and(writer.close().await) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            sent => sent,
        }
    };
    let read = async {
        let mut heard = Vec::new();
        reader.read_to_end(&mut heard).await?;
        Ok(heard)
    };
    let ((), ((), heard)) = future::try_zip(answer, future::try_zip(write, read)).await?;
    Ok(heard)
}
