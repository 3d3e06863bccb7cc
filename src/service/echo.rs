//! The Echo Protocol of RFC 862.

use std::io;

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::connection::{Reader, Writer};

/// Sends back what it reads, until the end of input, and closes (RFC 862).
///
/// # Errors
///
/// Those of the halves.
///
/// # Examples
///
/// ```
/// use halves::{Connection, service::echo};
///
/// # smol::block_on(async {
/// let connection = Connection::new(&b"hello"[..], vec![]);
/// echo(connection.reader, connection.writer).await?;
/// assert_eq!(connection.peer.bytes_out(), 5);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn echo<R, W>(mut reader: Reader<R>, mut writer: Writer<W>) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    loop {
        let chunk = reader.read_chunk_or_drain().await?;
        if chunk.is_empty() {
            return writer.close().await;
        }
        writer.write_all(&chunk).await?;
    }
}
