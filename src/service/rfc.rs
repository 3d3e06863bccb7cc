//! Echo (RFC 862) and Discard (RFC 863).

use std::future::Future;
use std::io;

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::transform::{Answer, Transform};
use crate::connection::{Reader, Writer};

/// Sends back every byte that it reads, until the end of input; then closes (RFC 862).
///
/// # Errors
///
/// Returns the errors of the halves.
///
/// # Examples
///
/// ```
/// use halves::Connection;
/// use halves::service::echo;
///
/// # smol::block_on(async {
/// let connection = Connection::new(&b"hello"[..], vec![]);
/// echo(connection.reader, connection.writer).await?;
/// assert_eq!(connection.peer.bytes_out(), 5);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn echo<R, W>(
    reader: Reader<R>,
    writer: Writer<W>,
) -> impl Future<Output = io::Result<()>> + use<R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    Transform::new(reader, writer, |_: &mut [u8]| Answer::Send)
}

/// Reads and drops every byte, until the end of input; then closes (RFC 863).
///
/// # Errors
///
/// Returns the errors of the halves.
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
