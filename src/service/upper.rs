//! The seed of it all: a service that answers in capital letters.

use std::io;
use std::sync::Arc;

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::connection::{Reader, Writer};

/// Sends back what it reads with `a` to `z` in upper case, until the end of input, and closes.
/// Every other byte passes unchanged, whatever the text's encoding.
///
/// # Errors
///
/// Those of the halves.
///
/// # Examples
///
/// ```
/// use halves::{Connection, service::upper};
///
/// # smol::block_on(async {
/// let connection = Connection::new("straße 1\n".as_bytes(), vec![]);
/// upper(connection.reader, connection.writer).await?;
/// assert_eq!(connection.peer.bytes_out(), 10);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn upper<R, W>(reader: Reader<R>, writer: Writer<W>) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    Upper::default().serve(reader, writer).await
}

/// [`upper`] with settings.
///
/// # Examples
///
/// ```
/// use halves::{Connection, service::Upper};
///
/// # smol::block_on(async {
/// let connection = Connection::new(&b"close"[..], vec![]);
/// let service = Upper::default().close_word("close");
/// service.serve(connection.reader, connection.writer).await?;
/// assert_eq!(connection.peer.bytes_out(), 0);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Upper {
    close_word: Option<Arc<[u8]>>,
}

impl Upper {
    /// Closes, without an answer, when one read yields exactly this word. A word that arrives in
    /// two pieces, or with anything around it, is text like any other.
    ///
    /// # Examples
    ///
    /// See [`Upper`].
    #[must_use]
    pub fn close_word(mut self, word: impl AsRef<[u8]>) -> Self {
        self.close_word = Some(word.as_ref().into());
        self
    }

    /// Serves one connection.
    ///
    /// # Errors
    ///
    /// Those of the halves.
    ///
    /// # Examples
    ///
    /// See [`Upper`].
    pub async fn serve<R, W>(self, mut reader: Reader<R>, mut writer: Writer<W>) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let mut text = reader.read_chunk_or_drain().await?;
            if text.is_empty() || self.close_word.as_deref() == Some(&text) {
                return writer.close().await;
            }
            text.make_ascii_uppercase();
            writer.write_all(&text).await?;
        }
    }
}
