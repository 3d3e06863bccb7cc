//! The Echo Protocol of RFC 862.

use std::future::Future;
use std::io;

use futures_lite::{AsyncRead, AsyncWrite};

use super::transform::{Answer, Transform};
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
