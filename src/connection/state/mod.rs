//! What is known of one connection, shared by its halves, its task and the server; and its socket.

mod cold;
mod deadlines;
mod end;
mod flags;
mod input_wait;
mod traffic;

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use once_cell::race::OnceBox;

use super::peer::CompactEndpoint;
use super::{Credentials, Endpoint, Link, Phase};
use crate::framing::DEFAULT_FRAME_LIMIT_BYTES;
use crate::reactor::{Source, SourceOwner};
use crate::reason::Reason;
use crate::shutdown::Shutdown;
use crate::time::{AtomicStamp, Clock, Stamp};
use crate::waiting::Waiting;
pub(super) use cold::{BoxSlot, ColdState};
pub(crate) use deadlines::DeadlineCheck;
pub(crate) use flags::{Flag, Flags};
use traffic::Budget;

/// One connection. The halves write to it with plain stores, as each counter has one writer.
///
/// There are many, so what most never need is apart, and what a listener's connections have in
/// common is shared.
pub(crate) struct Record {
    /// The socket, if the stream is one of our own: whoever reads waits there in any case.
    source: Source,
    remote: CompactEndpoint,
    /// As the listener knows it; the real one is asked for when somebody wants it.
    pub(crate) local: Arc<Endpoint>,
    served: OnceLock<Served>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// When a byte last moved.
    active: AtomicStamp,
    pub(super) reading: Budget,
    pub(super) writing: Budget,
    /// Where it stands among its server's.
    pub(crate) registry_index: AtomicU32,
    pub(crate) flags: Flags,
    /// Why and how it ended, 0 while it has not. Set once; see [`Verdict`].
    verdict: AtomicU8,
    cold: OnceBox<ColdState>,
}

/// What a server adds when it takes a connection.
struct Served {
    id: u64,
    opened: Stamp,
    context: Arc<ServerContext>,
}

/// What a server's connections have in common.
pub(crate) struct ServerContext {
    pub(crate) clock: Clock,
    pub(crate) shutdown: Shutdown,
    /// Some deadline depends on when a byte last moved.
    pub(crate) timed: bool,
    pub(crate) hooks: Arc<dyn ServerHooks>,
}

/// What a connection asks of its server.
pub(crate) trait ServerHooks: Send + Sync {
    /// Runs the checks of admission on the real client.
    fn identify(&self, record: &Arc<Record>) -> Result<(), Reason>;
    /// What looks after the deadline of a handshake, where there are no others.
    fn handshake_deadline(&self, record: &Record) -> Box<dyn DeadlineCheck>;
    /// A writer has lost so many bytes that it kept.
    fn dropped(&self, record: &Arc<Record>, bytes: usize);
    /// It is over, for this reason.
    fn closed(&self, record: &Arc<Record>, reason: Reason, error: Option<io::Error>);
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
            verdict: AtomicU8::new(0),
            cold: OnceBox::new(),
        }
    }

    /// One whose halves are a socket.
    pub(super) fn of_socket(source: Source, remote: CompactEndpoint, local: Arc<Endpoint>) -> Self {
        Self {
            source,
            remote,
            ..Self::new(Endpoint::Unknown, local)
        }
    }

    /// Where whoever reads waits: a wake there is passed on to the task, if it
    /// [reaches](Waiting::reaches) it.
    pub(crate) fn waiting(&self) -> &Waiting {
        self.source.reader()
    }

    /// The connection's task is polled: others have had their turn since the last time.
    pub(crate) fn begin_poll(&self) {
        self.waiting().forget();
        self.reading.reset();
        self.writing.reset();
    }

    pub(super) fn cold(&self) -> &ColdState {
        self.cold.get_or_init(Box::default)
    }

    /// What a frame may hold at most, in bytes.
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

    /// A link that is not the socket's own.
    pub(crate) fn set_link(&self, link: Arc<dyn Link>) {
        *self.cold().link() = Some(link);
    }

    pub(crate) fn link(&self) -> Option<Arc<dyn Link>> {
        self.cold.get().and_then(|cold| cold.link().clone())
    }

    /// Asks the system about the stream, where it has a descriptor that is open.
    pub(crate) fn with_fd<T>(&self, f: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        if self.is_socket() {
            return self.source.visit(f);
        }
        self.link().and_then(|link| link.as_fd().map(f))
    }

    /// Who the peer is, as far as is known.
    pub(crate) fn peer(&self) -> Endpoint {
        let real = self.cold.get().and_then(|cold| cold.real.get());
        real.cloned()
            .unwrap_or_else(|| Endpoint::from(&self.remote))
    }

    /// Whose process the peer is, on a Unix socket.
    pub(crate) fn credentials(&self) -> Option<Credentials> {
        self.remote.credentials()
    }

    /// As long as nobody else has the record.
    pub(super) fn set_credentials(&mut self, credentials: Credentials) {
        self.remote = CompactEndpoint::new(Endpoint::from(&self.remote), Some(credentials));
    }

    pub(crate) fn set_real(&self, real: Endpoint) {
        let _ = self.cold().real.set(real);
    }

    /// Called by the server that accepted the connection. False: a server has it already.
    pub(crate) fn serve(&self, id: u64, context: &Arc<ServerContext>) -> bool {
        let opened = context.clock.stamp();
        let served = Served {
            id,
            opened,
            context: context.clone(),
        };
        let first = self.served.set(served).is_ok();
        if first {
            self.active.set(opened);
        }
        first
    }

    pub(crate) fn id(&self) -> u64 {
        self.served.get().map_or(0, |served| served.id)
    }

    pub(crate) fn opened(&self) -> Stamp {
        self.served
            .get()
            .map_or(Stamp::NEVER, |served| served.opened)
    }

    pub(crate) fn active(&self) -> Stamp {
        self.active.get()
    }

    pub(crate) fn context(&self) -> Option<&ServerContext> {
        self.served.get().map(|served| &*served.context)
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.flags.has(Flag::Closing) {
            Phase::Closing
        } else if self.cold.get().is_some_and(ColdState::is_shaking) {
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
            .field("verdict", &self.verdict())
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
    fn a_record_with_its_socket_is_as_large_as_is_written_of_it() {
        assert_eq!(size_of::<Source>(), 72);
        assert_eq!(size_of::<Record>(), 184);
    }
}
