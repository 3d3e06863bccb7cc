//! The seed of it all: a service that answers in capital letters.

use std::future::Future;
use std::io;
use std::sync::Arc;

use futures_lite::{AsyncRead, AsyncWrite};

use super::transform::{Answer, Transform};
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

/// [`upper`] with settings.
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
    /// One pointer, as each connection's task has it.
    close_word: Option<Arc<Vec<u8>>>,
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
        self.close_word = Some(Arc::new(word.as_ref().to_vec()));
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
