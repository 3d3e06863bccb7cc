//! The Discard Protocol of RFC 863.

use std::io;

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::connection::{Reader, Writer};

/// Throws away what it reads, until the end of input, and closes (RFC 863).
///
/// # Errors
///
/// Those of the halves.
///
/// # Examples
///
/// ```
/// use halves::Connection;
/// use halves::service::discard;
///
/// # smol::block_on(async {
/// let connection = Connection::new(&b"hello"[..], vec![]);
/// discard(connection.reader, connection.writer).await?;
/// assert_eq!((connection.peer.bytes_in(), connection.peer.bytes_out()), (5, 0));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn discard<R, W>(mut reader: Reader<R>, mut writer: Writer<W>) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    while !reader.read_chunk_or_drain().await?.is_empty() {}
    writer.close().await
}
