//! `Account`: the entries of one connection.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use halves::Reason;

/// A kind of handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads and writes in turn, and obeys a drain.
    Copies,
    /// The service `echo`.
    Echoes,
    /// The service `upper`.
    Uppers,
    /// Writes with pauses, and reads nothing.
    Writes,
    /// Reads until the end, without a writer.
    Discards,
    /// Reads a little, answers, and returns.
    Leaves,
    Panics,
    /// Copies, and panics when it is dropped.
    PanicsLate,
    Aborts,
    Fails,
    /// Gives the halves to a task, and returns.
    Spawns,
    /// Waits, and neither reads nor writes.
    Sleeps,
    /// Answers lines through a buffered writer.
    Lines,
    /// As `Lines`, and returns without a flush.
    Forgets,
    /// Copies above a layer.
    Layered,
}

/// The answer of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The bytes of the client.
    Same,
    Upper,
    /// The pattern.
    Pattern,
}

/// How a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Returned,
    Failed,
    Panicked,
}

/// How a client saw the end of its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ClientEnd {
    /// The client has not read until the end.
    #[default]
    Unknown,
    /// The end of input.
    Clean,
    /// An error.
    Broken,
}

/// The entries of one connection.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Account {
    pub(crate) port: u16,
    pub(crate) id: u64,
    /// The address that rules and limits see.
    pub(crate) source: IpAddr,
    /// The real client is not known yet.
    pub(crate) anonymous: bool,
    /// The connection counts for its source.
    pub(crate) counts: bool,
    /// It counts also in the server, for certain.
    pub(crate) counts_for_certain: bool,
    /// The index of the listener, by the server.
    pub(crate) listener: usize,
    /// The index of the listener, by the client.
    pub(crate) door: Option<usize>,
    /// The listener has ended before it accepted the client.
    pub(crate) is_lost: bool,
    /// The time at which the client was connected.
    pub(crate) connected: Option<Instant>,
    pub(crate) refused: bool,
    pub(crate) opened: Option<Instant>,
    pub(crate) closed: Option<(Instant, Reason)>,
    pub(crate) orders: Vec<(Instant, Reason)>,
    // Written by the handler.
    pub(crate) kind: Option<Kind>,
    pub(crate) is_running: bool,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) dropped: Option<Instant>,
    /// Bytes that the kind of handler does not see.
    pub(crate) skipped: usize,
    pub(crate) reads: Vec<(Instant, usize)>,
    pub(crate) bytes_in: usize,
    pub(crate) bytes_out: usize,
    pub(crate) saw_end: bool,
    /// The time of the last byte.
    pub(crate) active: Option<Instant>,
    /// The handler writes a message.
    pub(crate) writes: bool,
    /// It has written a part of it.
    pub(crate) in_message: bool,
    pub(crate) handshake: Option<Instant>,
    /// Reads and writes in this poll of the handler.
    pub(crate) calls: [u32; 2],
    // Written by the client.
    pub(crate) sent: usize,
    pub(crate) got: Vec<u8>,
    /// The client has sent all, and ended its output.
    pub(crate) client_closed: bool,
    /// The client has dropped or reset the connection before the end of its input.
    pub(crate) client_left: bool,
    pub(crate) end: ClientEnd,
    // Of the event of the end.
    pub(crate) payload_out: u64,
    pub(crate) unsent: u64,
}

impl Kind {
    /// Returns true if the handler reports each byte, so that the times of its bytes are known.
    pub(crate) fn is_exact(self) -> bool {
        matches!(
            self,
            Self::Copies
                | Self::Writes
                | Self::Discards
                | Self::Leaves
                | Self::Aborts
                | Self::Sleeps
        )
    }

    pub(crate) fn answer(self) -> Answer {
        match self {
            Self::Uppers => Answer::Upper,
            Self::Writes | Self::Leaves => Answer::Pattern,
            _ => Answer::Same,
        }
    }

    /// Returns true if the handler answers all that it has read before it returns at the end of its
    /// input.
    pub(crate) fn answers_all(self) -> bool {
        matches!(
            self,
            Self::Copies | Self::Echoes | Self::Uppers | Self::Layered | Self::Lines
        )
    }
}

impl Account {
    pub(super) fn new(port: u16) -> Self {
        Self {
            port,
            id: 0,
            source: Ipv4Addr::UNSPECIFIED.into(),
            anonymous: false,
            counts: false,
            counts_for_certain: false,
            listener: 0,
            door: None,
            is_lost: false,
            connected: None,
            refused: false,
            opened: None,
            closed: None,
            orders: Vec::new(),
            kind: None,
            is_running: false,
            outcome: None,
            dropped: None,
            skipped: 0,
            reads: Vec::new(),
            bytes_in: 0,
            bytes_out: 0,
            saw_end: false,
            active: None,
            writes: false,
            in_message: false,
            handshake: None,
            calls: [0; 2],
            sent: 0,
            got: Vec::new(),
            client_closed: false,
            client_left: false,
            end: ClientEnd::Unknown,
            payload_out: 0,
            unsent: 0,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.opened.is_some() && self.closed.is_none()
    }

    /// Returns true if the client waits for the accept.
    pub(crate) fn waits(&self) -> bool {
        let seen = self.opened.is_some() || self.refused;
        !seen && !self.is_lost && self.end == ClientEnd::Unknown && !self.client_left
    }

    pub(crate) fn is_exact(&self) -> bool {
        self.kind.is_some_and(Kind::is_exact)
    }
}
