//! `upper`: answers in capital letters. The default service of the command.

use std::future::Future;
use std::io;
use std::sync::Arc;

use futures_lite::{AsyncRead, AsyncWrite};

use super::transform::{Answer, Transform};
use crate::connection::{Reader, Writer};

/// Sends back what it reads with `a` to `z` in upper case, until the end of input; then closes.
/// Every other byte is sent unchanged, so UTF-8 text stays valid.
///
/// # Errors
///
/// Returns the errors of the halves.
///
/// # Examples
///
/// ```
/// use halves::Connection;
/// use halves::service::upper;
///
/// # smol::block_on(async {
/// let connection = Connection::new("straße 1\n".as_bytes(), vec![]);
/// upper(connection.reader, connection.writer).await?;
/// assert_eq!(connection.peer.bytes_out(), 10);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub fn upper<R, W>(
    reader: Reader<R>,
    writer: Writer<W>,
) -> impl Future<Output = io::Result<()>> + use<R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    Upper::default().serve(reader, writer)
}

/// The service [`upper`], with settings.
///
/// # Examples
///
/// ```
/// use halves::Connection;
/// use halves::service::Upper;
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
    /// One pointer, because the task of each connection holds a copy.
    close_word: Option<Arc<Vec<u8>>>,
}

impl Upper {
    /// Closes the connection without an answer when one read yields exactly this word. A word that
    /// arrives in two reads, or with other bytes in the same read, is answered like any text.
    ///
    /// # Examples
    ///
    /// ```
    /// # let _ =
    /// halves::service::Upper::default().close_word("bye\n");
    /// ```
    #[must_use]
    pub fn close_word(mut self, word: impl AsRef<[u8]>) -> Self {
        self.close_word = Some(Arc::new(word.as_ref().to_vec()));
        self
    }

    /// Serves one connection.
    ///
    /// # Errors
    ///
    /// Returns the errors of the halves.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Connection, service::Upper};
    ///
    /// # smol::block_on(async {
    /// let connection = Connection::new(&b"hello"[..], vec![]);
    /// Upper::default().serve(connection.reader, connection.writer).await?;
    /// assert_eq!(connection.peer.bytes_out(), 5);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn serve<R, W>(
        self,
        reader: Reader<R>,
        writer: Writer<W>,
    ) -> impl Future<Output = io::Result<()>> + use<R, W>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        Transform::new(reader, writer, move |text: &mut [u8]| {
            if self.is_close_word(text) {
                return Answer::Close;
            }
            text.make_ascii_uppercase();
            Answer::Send
        })
    }

    fn is_close_word(&self, text: &[u8]) -> bool {
        self.close_word
            .as_ref()
            .is_some_and(|word| word.as_slice() == text)
    }
}
