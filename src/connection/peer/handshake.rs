//! How far a connection has come.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::{Endpoint, Peer};
use crate::connection::{Flag, Record};

/// How far a connection has come.
///
/// # Examples
///
/// ```
/// assert_eq!(halves::connection::Phase::Open.to_string(), "open");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// A handshake is under way, or the real client is not known yet.
    Handshake,
    /// The handler has it.
    Open,
    /// The handler has ended; what it wrote is flushed, and the peer's end awaited.
    Closing,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "handshake",
            Self::Open => "open",
            Self::Closing => "closing",
        })
    }
}

/// A handshake under way: while it lives, the connection is in [`Phase::Handshake`], and under the
/// deadline of [`Timeouts::handshake`](crate::Timeouts::handshake).
/// [`Peer::handshake`](crate::Peer::handshake) makes it.
///
/// # Examples
///
/// See [`Peer::handshake`](crate::Peer::handshake).
#[derive(Debug)]
#[must_use = "the handshake is over when this is dropped"]
pub struct Handshake(Arc<Record>);

impl Handshake {
    fn begin(record: &Arc<Record>) -> Self {
        record.cold().begin_handshake();
        // It may have a deadline.
        record.recheck_deadlines();
        Self(record.clone())
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.cold().end_handshake();
        self.0.end_message();
    }
}

impl Peer {
    /// Says that this peer speaks for a client that it will name: the checks on the source wait
    /// for [`Connection::identify`](crate::Connection::identify), under the handshake deadline. For
    /// a listener that trusts the sender of a PROXY header.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Endpoint, Peer};
    ///
    /// let peer = Peer::new(Endpoint::Memory, Endpoint::Memory).anonymous();
    /// # drop(peer);
    /// ```
    #[must_use]
    pub fn anonymous(self) -> Self {
        if !self.0.flags.set(Flag::Anonymous) {
            self.0.cold().begin_handshake();
        }
        self
    }

    pub(in crate::connection) fn identify(&self, real: Endpoint) -> io::Result<()> {
        let record = &self.0;
        if !record.flags.clear(Flag::Anonymous) {
            let stranger = "no real client was to be named on this connection";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, stranger));
        }
        record.set_real(real);
        let hooks = record.context().map(|context| &context.hooks);
        let admitted = hooks.map_or(Ok(()), |hooks| hooks.identify(record));
        record.cold().end_handshake();
        admitted.map_err(|reason| {
            record.close(reason);
            let refused = format!("the client is refused: {reason}");
            io::Error::new(io::ErrorKind::PermissionDenied, refused)
        })
    }

    /// Begins a handshake: the connection is under the handshake deadline, counted from accept,
    /// until the returned value is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt};
    /// use halves::Connection;
    /// use halves::service::echo;
    ///
    /// /// A service for those who know the word.
    /// async fn secret(mut connection: Connection) -> std::io::Result<()> {
    ///     let handshake = connection.peer.handshake();
    ///     let mut word = [0; 6];
    ///     connection.reader.read_exact(&mut word).await?;
    ///     drop(handshake);
    ///     if &word == b"please" {
    ///         echo(connection.reader, connection.writer).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn handshake(&self) -> Handshake {
        Handshake::begin(&self.0)
    }
}
