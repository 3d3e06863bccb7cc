//! Handshakes, and the address of the real client.

use std::io;
use std::sync::Arc;

use super::Peer;
use crate::connection::{Endpoint, Flag, Record};
use crate::time::Stamp;

/// A handshake in progress, made by [`Peer::handshake`].
///
/// Until it is dropped, the connection is in [`Phase::Handshake`](crate::connection::Phase::Handshake), and the deadline of
/// [`Timeouts::handshake`](crate::Timeouts::handshake) applies.
///
/// # Examples
///
/// ```
/// let peer = halves::Peer::default();
/// let handshake = peer.handshake();
/// // The handler exchanges the messages of the handshake here.
/// drop(handshake);
/// ```
#[derive(Debug)]
#[must_use = "the handshake is over when this is dropped"]
pub struct Handshake(Arc<Record>);

impl Handshake {
    fn begin(record: &Arc<Record>) -> Self {
        let context = record.context();
        let now = context.map_or(Stamp::NEVER, |context| context.clock.stamp());
        record.cold().begin_handshake(now);
        // The handshake may have a deadline.
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
    /// Marks the peer as a proxy that will send the address of the real client, for a listener that
    /// trusts the sender of a PROXY header.
    ///
    /// The server applies its rules and its limits per source only when
    /// [`Connection::identify`](crate::Connection::identify) sets the address. Until then the
    /// handshake deadline applies.
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
            self.0.cold().begin_handshake(Stamp::NEVER);
        }
        self
    }

    /// Takes over the marks that a listener has set before the accept.
    pub(in crate::connection) fn marked_as(self, other: &Record) -> Self {
        if let Some(ending) = other.ending() {
            self.0.end(ending);
        }
        if other.flags.has(Flag::Anonymous) {
            return self.anonymous();
        }
        self
    }

    pub(in crate::connection) fn identify(&self, real: Endpoint) -> io::Result<()> {
        let record = &self.0;
        // The address is set first: a peer without the flag has its final address.
        if !record.flags.has(Flag::Anonymous) || !record.set_real(real) {
            let unexpected = "cannot set the real client: not asked for, or set already";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, unexpected));
        }
        record.flags.clear(Flag::Anonymous);
        let hooks = record.context().map(|context| &context.hooks);
        let admitted = hooks.map_or(Ok(()), |hooks| hooks.identify(record));
        record.cold().end_handshake();
        record.end_message();
        admitted.map_err(|reason| {
            record.close(reason);
            let refused = format!("the client is refused: {reason}");
            io::Error::new(io::ErrorKind::PermissionDenied, refused)
        })
    }

    /// Begins a handshake, which ends when the returned value is dropped.
    ///
    /// Meanwhile the handshake deadline applies. It counts from this call, or from the begin of
    /// another handshake that is still in progress.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt};
    /// use halves::Connection;
    /// use halves::service::echo;
    ///
    /// /// Echoes if the client first sends the password.
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
