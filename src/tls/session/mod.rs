//! A TLS session without input and output: received bytes to payload, payload to records.

mod failure;
mod records;
mod side;
mod slices;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, IoSlice};
use std::mem;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::{CommonState, Error, InvalidMessage};

use crate::catch::catch_panic;
use crate::connection::{CHUNK_BYTES, Chunk};
use failure::Failure;
pub(super) use records::Records;
use side::{Received, Sent};
use slices::Gather;
pub(super) use slices::Scatter;

/// A TLS session of either side.
///
/// It holds received bytes only while there are any, and none that a reader has taken: at most 64
/// KiB, which is one read of the stream. A handshake message that is in more bytes than that ends
/// the session with an error, so a peer cannot make it hold more.
///
/// rustls has traps, for which this type keeps state of its own. It refers to the fragments of a
/// handshake message by their offsets, so they are passed again with each call. It does not remember
/// all errors, sends payload also after `close_notify`, and does not notice the end of the stream.
pub(super) struct Session {
    connection: Connection,
    /// Received bytes: `payload` decrypted ones, and then records.
    input: Chunk,
    payload: usize,
    /// `input` may have whole records. If not, it has at most the beginning of a record, or the
    /// fragments of a handshake message to which rustls has kept offsets.
    has_records: bool,
    /// The number of first bytes in `input` without a whole record, while it has records: fragments,
    /// or the beginning of a record.
    processed: usize,
    /// Records that answer received ones. They are sent before anything that is encrypted later.
    answers: Vec<u8>,
    failure: Option<Failure>,
    end: InputEnd,
    /// The `close_notify` of this side is made.
    closed: bool,
}

/// The end of what the peer sends.
#[derive(Clone, Copy, PartialEq)]
enum InputEnd {
    None,
    CloseNotify,
    /// The stream has ended without `close_notify`.
    Truncated,
}

enum Connection {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// Calls a generic function with the connection of either side.
macro_rules! with_side {
    ($connection:expr, $side:ident => $call:expr) => {
        match $connection {
            Connection::Server($side) => $call,
            Connection::Client($side) => $call,
        }
    };
}

impl From<UnbufferedServerConnection> for Session {
    fn from(connection: UnbufferedServerConnection) -> Self {
        Self::new(Connection::Server(connection))
    }
}

impl From<UnbufferedClientConnection> for Session {
    fn from(connection: UnbufferedClientConnection) -> Self {
        Self::new(Connection::Client(connection))
    }
}

impl Session {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            input: Chunk::default(),
            payload: 0,
            has_records: false,
            processed: 0,
            answers: Vec::new(),
            failure: None,
            end: InputEnd::None,
            closed: false,
        }
    }

    pub(super) fn is_server(&self) -> bool {
        matches!(self.connection, Connection::Server(_))
    }

    pub(super) fn common(&self) -> &CommonState {
        with_side!(&self.connection, side => side)
    }

    /// Continues the handshake with the bytes received so far. Returns true if it is complete.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read). The alert is among the answers then.
    pub(super) fn handshake(&mut self) -> io::Result<bool> {
        while self.common().is_handshaking() {
            self.check()?;
            if self.end == InputEnd::Truncated {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.process(&mut Scatter::new(&mut []))?;
            if !self.has_records {
                break;
            }
        }
        Ok(!self.common().is_handshaking())
    }

    /// Reads payload of the bytes received so far, as much as there is room for. Returns `None` if
    /// more bytes are needed, and 0 after the `close_notify` of the peer.
    ///
    /// # Errors
    ///
    /// * [`InvalidData`](ErrorKind::InvalidData) after a wrong record. The alert is among the
    ///   answers then.
    /// * [`UnexpectedEof`](ErrorKind::UnexpectedEof) if the stream has ended without `close_notify`.
    ///
    /// All later calls return the same error.
    pub(super) fn read(&mut self, reader: &mut Scatter<'_, '_>) -> io::Result<Option<usize>> {
        if self.payload > 0 {
            let n = reader.put(&self.input[..self.payload]);
            self.input.advance(n);
            self.payload -= n;
        }
        while self.has_records && !reader.is_full() {
            // The payload in front of a wrong record comes before the error.
            if self.process(reader).is_err() {
                break;
            }
        }
        if self.input.is_empty() {
            self.input = Chunk::default();
        }
        if reader.len() > 0 {
            return Ok(Some(reader.len()));
        }
        self.check()?;
        match self.end {
            InputEnd::None => Ok(None),
            InputEnd::CloseNotify => Ok(Some(0)),
            InputEnd::Truncated => {
                let text = "the stream ended without the close_notify of TLS";
                Err(io::Error::new(ErrorKind::UnexpectedEof, text))
            }
        }
    }

    /// The number of received bytes that go in front of the next ones. Not 64 KiB.
    pub(super) fn held(&self) -> usize {
        self.input.len()
    }

    /// Moves the received bytes to a buffer of about their size, for a wait.
    pub(super) fn wait(&mut self) {
        self.input.shrink();
    }

    /// Takes bytes from the stream, with room in front of them for those that are
    /// [held](Self::held). An empty chunk is the end of the stream.
    pub(super) fn receive(&mut self, mut bytes: Chunk) {
        if self.end != InputEnd::None || self.failure.is_some() {
            return;
        }
        if bytes.is_empty() {
            self.end = InputEnd::Truncated;
            return;
        }
        bytes.prepend(&self.input);
        if !self.has_records {
            self.processed = self.input.len();
        }
        self.input = bytes;
        self.has_records = true;
    }

    /// Returns true if there are records that answer received ones.
    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Takes the records that answer received ones.
    pub(super) fn take_answers(&mut self) -> Vec<u8> {
        mem::take(&mut self.answers)
    }

    /// Encrypts the beginning of the payload, at most 64 KiB. Appends the answers so far, and then
    /// the new records, to `out`. Returns the number of bytes encrypted.
    ///
    /// # Errors
    ///
    /// * [`BrokenPipe`](ErrorKind::BrokenPipe) after [`close`](Self::close).
    /// * [`InvalidData`](ErrorKind::InvalidData) after a wrong record of the peer.
    pub(super) fn write(&mut self, bufs: &[IoSlice<'_>], out: &mut Records) -> io::Result<usize> {
        self.check()?;
        if self.closed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let mut gather = Gather::new(bufs);
        let n = gather.left();
        if n > 0 {
            self.send(Sent::Payload(&mut gather), out)?;
        }
        Ok(n)
    }

    /// Appends the answers so far, and `close_notify`, unless that is done already or the session has
    /// failed.
    pub(super) fn close(&mut self, out: &mut Records) -> io::Result<()> {
        if self.failure.is_some() || mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        self.send(Sent::CloseNotify, out)
    }

    /// Returns true after a wrong record of the peer.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    fn check(&self) -> io::Result<()> {
        match &self.failure {
            Some(failure) => Err(failure.into()),
            None => Ok(()),
        }
    }

    fn fail(&mut self, error: Error) -> io::Error {
        let is_start = self.common().protocol_version().is_none();
        let start = is_start.then_some(&*self.input);
        let failure = Failure::new(error, start);
        let error = io::Error::from(&failure);
        self.failure = Some(failure);
        self.has_records = false;
        if self.payload == 0 {
            self.input = Chunk::default();
        }
        error
    }

    fn send(&mut self, sent: Sent<'_, '_>, out: &mut Records) -> io::Result<()> {
        // Whole records would be received by this call. The bytes before them have none.
        let end = if self.has_records {
            self.payload + self.processed
        } else {
            self.input.len()
        };
        let input = &mut self.input[self.payload..end];
        let answers = &mut self.answers;
        let sent = with_side!(
            &mut self.connection,
            side => side::send(side, input, answers, sent, out)
        );
        sent.map_err(|error| self.fail(error))
    }

    /// Processes records up to the first one with payload.
    fn process(&mut self, reader: &mut Scatter<'_, '_>) -> io::Result<()> {
        self.processed = 0;
        let (input, answers) = (&mut self.input, &mut self.answers);
        let mut receive = || {
            with_side!(
                &mut self.connection,
                side => side::receive(side, input, reader, answers)
            )
        };
        let received = if self.closed {
            // In a debug build, rustls panics if an alert is due after close_notify.
            let wrong = |_| Error::General("a wrong record after close_notify".into());
            catch_panic(receive).map_err(wrong).flatten()
        } else {
            receive()
        };
        match received {
            Ok(Received::Payload(rest)) => self.keep(rest),
            // A handshake message in this many bytes. There is no room for more.
            Ok(Received::NeedsInput) if self.input.len() >= CHUNK_BYTES => {
                return Err(self.fail(InvalidMessage::HandshakePayloadTooLarge.into()));
            }
            Ok(Received::NeedsInput) => self.has_records = false,
            Ok(Received::End) => {
                self.end = InputEnd::CloseNotify;
                self.has_records = false;
                // Later bytes do not count (RFC 8446, 6.1).
                self.input = Chunk::default();
            }
            Err(error) => return Err(self.fail(error)),
        }
        if self.input.is_empty() {
            self.input = Chunk::default();
        }
        Ok(())
    }

    /// Keeps the payload that the reader had no room for, in front of the records.
    fn keep(&mut self, rest: Chunk) {
        self.has_records = !self.input.is_empty();
        self.payload = rest.len();
        if self.has_records {
            self.input.prepend(&rest);
        } else {
            self.input = rest;
        }
    }
}
