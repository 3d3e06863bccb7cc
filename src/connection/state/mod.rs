//! The state of one connection, including its socket. The halves, the task and the server share it.

mod carried;
mod cold;
mod context;
mod end;
mod guard;
mod input_wait;
mod layers;
mod lent;
mod task;
mod traffic;
mod waits;

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use once_cell::race::OnceBox;

use super::close::Link;
use super::endpoint::{CompactEndpoint, Credentials, Endpoint};
use crate::framing::DEFAULT_FRAME_LIMIT_BYTES;
use crate::reactor::{Source, SourceOwner};
use crate::time::{AtomicStamp, Clock, Stamp};
use crate::waker_slot::WakerSlot;
pub(crate) use carried::Carried;
pub(super) use cold::{BoxSlot, ColdState};
pub(crate) use context::{ServerContext, ServerHooks};
pub(crate) use guard::SocketGuard;
pub(crate) use task::DeadlineCheck;
pub(super) use task::SendQueued;
use traffic::Budget;
pub use waits::Waits;

/// The state of one connection. Each counter has one writer, so the halves use plain stores.
///
/// A server has many records. Rarely used state is therefore boxed in [`ColdState`], and state
/// common to the connections of a listener is shared.
pub(crate) struct Record {
    /// The socket, if the stream is a socket of this crate. The reading task waits here in any case.
    source: Source,
    remote: CompactEndpoint,
    /// The local address of the listener. [`Peer::local`](super::Peer::local) asks the system for
    /// the actual one if the listener is bound to all interfaces.
    pub(crate) local: Arc<Endpoint>,
    served: OnceLock<Served>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// The time of the last byte received or sent.
    active: AtomicStamp,
    pub(super) reading: Budget,
    pub(super) writing: Budget,
    /// The index of this record in the server's registry.
    pub(crate) registry_index: AtomicU32,
    pub(crate) flags: Flags,
    /// The index of the listener that accepted the connection.
    listener: AtomicU8,
    /// The encoded [`Ending`], or 0 while the connection is open. Set once.
    ending: AtomicU8,
    cold: OnceBox<ColdState>,
}

/// The state that a server adds when it accepts a connection.
struct Served {
    id: u64,
    opened: Stamp,
    context: Arc<ServerContext>,
}

/// The phase of a connection.
///
/// # Examples
///
/// ```
/// assert_eq!(halves::connection::Phase::Open.to_string(), "open");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// A handshake is in progress, or the real client is not known yet.
    Handshake,
    /// The handler runs.
    Open,
    /// The handler has ended. The server flushes its output and waits for the end of the peer.
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

/// A flag of a connection.
#[derive(Clone, Copy, Debug)]
#[repr(u16)]
pub(crate) enum Flag {
    /// The address of the real client is not set yet.
    Anonymous = 1,
    /// The connection is counted in the account of its source.
    SourceCounted = 1 << 1,
    /// The end of input was read.
    Eof = 1 << 2,
    /// `read_or_drain` has returned the end because of a drain.
    Drained = 1 << 3,
    /// The handler and its halves are dropped, and the stream is being closed.
    Closing = 1 << 4,
    /// The server is about to end: a close does not wait for the peer any more.
    SkipLinger = 1 << 5,
    /// `read_or_drain` waits for the peer to be idle.
    AwaitingQuiet = 1 << 6,
    /// A check of the deadlines is due.
    DeadlinesDue = 1 << 7,
    /// The last read filled its buffer, so more bytes are likely to be available.
    LastReadFull = 1 << 8,
    /// Other processes may have the socket open, so closing it does not end the stream.
    SharedSocket = 1 << 9,
    /// The link has ended its stream in order.
    LinkEnded = 1 << 10,
    /// A write of the handler is blocked.
    Writing = 1 << 11,
    /// This side has reset the stream.
    Reset = 1 << 12,
    /// Neither direction can end alone.
    NoHalfClose = 1 << 13,
    /// The task sends the queue of a buffered writer while the handler waits.
    HasQueue = 1 << 14,
    /// A read has failed, so a later end of input is an error.
    ReadFailed = 1 << 15,
}

/// The set of flags of a connection, in two bytes.
#[derive(Debug, Default)]
pub(crate) struct Flags(AtomicU16);

impl Flags {
    pub(crate) fn has(&self, flag: Flag) -> bool {
        self.0.load(Ordering::Acquire) & flag as u16 != 0
    }

    /// Returns true if the flag was set before.
    pub(crate) fn set(&self, flag: Flag) -> bool {
        self.0.fetch_or(flag as u16, Ordering::AcqRel) & flag as u16 != 0
    }

    /// Returns true if the flag was set before.
    pub(crate) fn clear(&self, flag: Flag) -> bool {
        self.0.fetch_and(!(flag as u16), Ordering::AcqRel) & flag as u16 != 0
    }

    pub(crate) fn put(&self, flag: Flag, on: bool) {
        if on {
            self.set(flag);
        } else {
            self.clear(flag);
        }
    }
}

impl Record {
    pub(crate) fn new(remote: Endpoint, local: Arc<Endpoint>) -> Self {
        Self {
            source: Source::none(),
            remote: remote.into(),
            local,
            served: OnceLock::new(),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            active: AtomicStamp::new(Stamp::NEVER),
            reading: Budget::default(),
            writing: Budget::default(),
            registry_index: AtomicU32::new(u32::MAX),
            flags: Flags::default(),
            listener: AtomicU8::new(0),
            ending: AtomicU8::new(0),
            cold: OnceBox::new(),
        }
    }

    /// Makes a record of a connection over a socket.
    pub(super) fn of_socket(source: Source, remote: CompactEndpoint, local: Arc<Endpoint>) -> Self {
        Self {
            source,
            remote,
            ..Self::new(Endpoint::Unknown, local)
        }
    }

    /// The waker of the reading task. If it [reaches](WakerSlot::reaches) the connection's task, no
    /// second waker is needed for that task.
    pub(crate) fn waiting(&self) -> &WakerSlot {
        self.source.reader()
    }

    /// Called when the connection's task is polled. Other tasks have run meanwhile, so the budgets
    /// start anew.
    pub(crate) fn begin_poll(&self) {
        self.waiting().forget();
        self.reset_budgets();
    }

    /// Called when a task is polled that uses a connection without a server.
    pub(crate) fn reset_budgets(&self) {
        self.reading.reset();
        self.writing.reset();
    }

    pub(super) fn cold(&self) -> &ColdState {
        self.cold.get_or_init(Box::default)
    }

    /// The maximum size of a frame, in bytes.
    pub(super) fn frame_limit(&self) -> usize {
        let cold = self.cold.get();
        cold.map_or(DEFAULT_FRAME_LIMIT_BYTES, |cold| {
            cold.frame_limit.load(Ordering::Relaxed)
        })
    }

    pub(super) fn set_frame_limit(&self, bytes: usize) {
        if bytes != self.frame_limit() {
            self.cold().frame_limit.store(bytes, Ordering::Relaxed);
        }
    }

    /// Sets a link beside the socket's own, if the stream is a socket.
    pub(crate) fn set_link(&self, link: Arc<dyn Link>) {
        *self.cold().link() = Some(link);
    }

    pub(crate) fn link(&self) -> Option<Arc<dyn Link>> {
        self.cold.get().and_then(|cold| cold.link().clone())
    }

    /// Calls `f` with the descriptor of the stream, if it has one that is open.
    pub(crate) fn with_fd<T>(&self, f: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        if self.is_socket() {
            return self.source.with_fd(f);
        }
        self.link().and_then(|link| link.as_fd().map(f))
    }

    /// The address of the real client if it is set, or else of the remote end of the stream.
    pub(crate) fn peer(&self) -> Endpoint {
        let real = self.cold.get().and_then(|cold| cold.real.get());
        real.cloned().unwrap_or_else(|| self.transport())
    }

    /// The credentials of the peer's process, on a Unix socket.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        self.remote.credentials()
    }

    /// Sets the credentials, before the record is shared.
    pub(super) fn set_credentials(&mut self, credentials: Credentials) {
        self.remote = CompactEndpoint::new(Endpoint::from(&self.remote), Some(credentials));
    }

    /// Sets the address of the real client. Returns false if it is set already.
    pub(crate) fn set_real(&self, real: Endpoint) -> bool {
        self.cold().real.set(real).is_ok()
    }

    /// The address of the remote end of the stream.
    pub(crate) fn transport(&self) -> Endpoint {
        Endpoint::from(&self.remote)
    }

    /// Called by the server that accepted the connection. Returns false if a server has it already.
    pub(crate) fn serve(&self, id: u64, context: &Arc<ServerContext>) -> bool {
        let now = context.clock.stamp();
        let carried = self.carried();
        let served = Served {
            id,
            opened: carried.map_or(now, |carried| now.before(carried.age)),
            context: context.clone(),
        };
        let first = self.served.set(served).is_ok();
        if first {
            let active = carried.map_or(now, |carried| now.before(carried.idle));
            self.active.set(active);
        }
        first
    }

    pub(crate) fn listener(&self) -> usize {
        self.listener.load(Ordering::Relaxed).into()
    }

    /// Stores an index of at most 255.
    pub(crate) fn set_listener(&self, index: usize) {
        let index = u8::try_from(index).unwrap_or(u8::MAX);
        self.listener.store(index, Ordering::Relaxed);
    }

    pub(crate) fn id(&self) -> u64 {
        self.served.get().map_or(0, |served| served.id)
    }

    pub(crate) fn opened(&self) -> Stamp {
        self.served
            .get()
            .map_or(Stamp::NEVER, |served| served.opened)
    }

    /// The time from which the handshake deadline counts: the begin of the first of the handshakes
    /// in progress, and at the earliest the accept.
    pub(crate) fn handshake_began(&self) -> Stamp {
        let began = self.cold.get().map(ColdState::handshakes_began);
        let began = began.filter(|&began| began != Stamp::NEVER);
        began.unwrap_or_else(|| self.opened())
    }

    pub(crate) fn active(&self) -> Stamp {
        self.active.get()
    }

    /// The clock of the server, or that of the system without a server.
    pub(crate) fn clock(&self) -> Clock {
        let context = self.context();
        context.map_or_else(Clock::default, |context| context.clock.clone())
    }

    pub(crate) fn context(&self) -> Option<&ServerContext> {
        self.served.get().map(|served| &*served.context)
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.flags.has(Flag::Closing) {
            Phase::Closing
        } else if self.cold.get().is_some_and(ColdState::is_in_handshake) {
            Phase::Handshake
        } else {
            Phase::Open
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("peer", &self.peer())
            .field("phase", &self.phase())
            .field("bytes_in", &self.bytes_in())
            .field("bytes_out", &self.bytes_out())
            .field("ending", &self.ending())
            .finish_non_exhaustive()
    }
}

impl SourceOwner for Record {
    fn source(&self) -> &Source {
        &self.source
    }

    #[cfg(all(target_os = "linux", not(halves_portable)))]
    fn share(self: Arc<Self>) -> Arc<dyn SourceOwner> {
        self
    }
}

#[cfg(all(test, target_os = "linux", not(halves_portable)))]
mod tests {
    use super::*;

    #[test]
    fn a_record_with_its_socket_has_the_documented_size() {
        assert_eq!(size_of::<Source>(), 72);
        assert_eq!(size_of::<Record>(), 184);
    }
}
