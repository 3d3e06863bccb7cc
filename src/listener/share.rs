//! `SharedListeners`: passes the sockets of listeners that are being served to another process.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::fcntl_dupfd_cloexec;

use super::unix::SocketFile;
use crate::connection::Endpoint;
use crate::reactor::Source;

/// The lowest number of a duplicate: none becomes a standard stream.
const MIN_DUPLICATE: i32 = 3;

/// A handle to the listening sockets of [`Listeners`](crate::Listeners), made by
/// [`Listeners::share`](crate::Listeners::share). It works while a server has the listeners.
///
/// A process that replaces this one gets [`sockets`](Self::sockets), takes them over by
/// [`Listeners::from_socket`](crate::Listeners::from_socket) and
/// [`own`](crate::Listeners::own), and accepts. Then this process calls [`disown`](Self::disown).
/// Clients connect to the same socket all the time, so none is refused and none is reset.
///
/// Clones are handles to the same sockets. A handle keeps no socket open.
///
/// # Examples
///
/// A second server takes over the socket of the first:
///
/// ```
/// use halves::service::upper;
/// use halves::{Connection, Executor, Listeners, Server, Shutdown, bind, connect};
///
/// let ex = Executor::new();
/// ex.block_on(async {
///     let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
///     let listeners = bind("127.0.0.1:0").await?;
///     let (shared, address) = (listeners.share(), listeners.local_addrs()[0].to_string());
///     let first = ex.spawn(Server::default().serve(ex.clone(), listeners, handler));
///     connect(address.as_str()).await?;
///
///     let socket = shared.sockets()?.remove(0);
///     let listeners = Listeners::try_from(socket.fd)?.own()?;
///     let shutdown = Shutdown::default();
///     let server = Server::default().shutdown(shutdown.clone());
///     let second = ex.spawn(server.serve(ex.clone(), listeners, handler));
///     shared.disown()?;
///     assert!(shared.sockets().is_err(), "the sockets belong to the second server");
///     first.await?;
///
///     connect(address.as_str()).await?;
///     shutdown.drain();
///     second.await?;
///     assert!(connect(address.as_str()).await.is_err(), "the socket is closed");
/// # std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedListeners(Arc<[SocketRef]>);

/// A duplicate of a listening socket, with its place in the [`Listeners`](crate::Listeners).
///
/// # Examples
///
/// ```
/// let listeners = smol::block_on(halves::bind("127.0.0.1:0"))?;
/// let socket = &listeners.share().sockets()?[0];
/// assert_eq!((socket.index, socket.is_owned), (0, true));
/// assert_eq!(socket.local, listeners.local_addrs()[0]);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct SharedSocket {
    /// The index of the listener, as [`Peer::listener`](crate::Peer::listener) returns it.
    pub index: usize,
    /// The address that it listens on.
    pub local: Endpoint,
    /// True if the listener was bound by this process, or is its [own](crate::Listeners::own), and
    /// the file of a Unix socket is still in place.
    pub is_owned: bool,
    /// Closed on exec. It stays open when the listener ends.
    pub fd: OwnedFd,
}

/// A reference to the socket of one listener, which does not keep it open.
#[derive(Debug)]
pub(super) struct SocketRef {
    pub(super) index: usize,
    pub(super) local: Arc<Endpoint>,
    pub(super) source: Arc<Source>,
    pub(super) tenure: Arc<Tenure>,
}

/// The right of a listener to its socket. Handles may end it.
#[derive(Debug, Default)]
pub(super) struct Tenure(Mutex<TenureState>);

#[derive(Debug, Default)]
pub(super) struct TenureState {
    phase: Phase,
    /// True if no other process accepts on the socket.
    is_owned: bool,
    /// True from [`own`](Self::own) to the next accept. The process before this one may go on until
    /// then.
    is_unused: bool,
    /// The file of an owned Unix socket with a path, until the listener is stopped.
    file: Option<SocketFile>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Phase {
    #[default]
    Accepting,
    Stopped,
    Disowned,
}

impl SharedListeners {
    pub(super) fn new(sockets: impl IntoIterator<Item = SocketRef>) -> Self {
        Self(sockets.into_iter().collect())
    }

    /// Duplicates the listening sockets, in the order of the listeners. Other listeners are left
    /// out: those in memory, and existing connections such as standard input and output.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if a listener has ended, is stopped, or is
    /// disowned. The error of the system if there are no descriptors left.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{bind, listener::memory};
    ///
    /// let (in_memory, _connector) = memory::listener(64);
    /// let tcp = smol::block_on(bind("127.0.0.1:0"))?;
    /// let listeners = tcp.and(in_memory);
    /// assert_eq!(listeners.share().sockets()?.len(), 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn sockets(&self) -> io::Result<Vec<SharedSocket>> {
        self.0.iter().map(SocketRef::duplicate).collect()
    }

    /// Gives the sockets away: the listeners accept no more connections and end. The sockets go on
    /// listening for the process that has duplicates, and the files of Unix sockets stay. Clients
    /// that wait to be accepted are left to that process.
    ///
    /// An accept that runs on another thread may still yield one connection. A server ends when all
    /// its listeners have ended, after its last connection; it has a deadline once it drains.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected) if a listener is stopped already, because its
    /// server drains. Nothing is disowned then.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Listener, bind};
    ///
    /// # smol::block_on(async {
    /// let mut listeners = bind("127.0.0.1:0").await?;
    /// listeners.share().disown()?;
    /// assert!(listeners.accept().await?.is_none());
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn disown(&self) -> io::Result<()> {
        // All are locked at once, so that a server that stops its listeners meanwhile stops all of
        // them or none.
        let mut states: Vec<_> = self.0.iter().map(|socket| socket.tenure.lock()).collect();
        if states.iter().any(|state| state.phase == Phase::Stopped) {
            return Err(ended("a listener is stopped"));
        }
        for state in &mut states {
            state.disown();
        }
        drop(states);
        for socket in self.0.iter() {
            // A task that is about to wait sees the phase after it has registered its waker.
            socket.source.reader().wake();
        }
        Ok(())
    }
}

impl SocketRef {
    fn duplicate(&self) -> io::Result<SharedSocket> {
        let state = self.tenure.lock();
        if state.phase != Phase::Accepting {
            return Err(ended("a listener is stopped or disowned"));
        }
        let copy = |fd: BorrowedFd<'_>| fcntl_dupfd_cloexec(fd, MIN_DUPLICATE);
        let fd = self.source.with_fd(copy);
        let is_replaced = state.file.as_ref().is_some_and(|file| !file.is_in_place());
        Ok(SharedSocket {
            index: self.index,
            local: Endpoint::clone(&self.local),
            is_owned: state.is_owned && !is_replaced,
            fd: fd.ok_or_else(|| ended("a listener has ended"))??,
        })
    }
}

impl Tenure {
    /// The right to a socket that other processes may accept on.
    pub(super) fn shared() -> Self {
        Self::default()
    }

    /// The right to a socket of this process, with its file.
    pub(super) fn owned(file: Option<SocketFile>) -> Self {
        Self(Mutex::new(TenureState {
            is_owned: true,
            file,
            ..TenureState::default()
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, TenureState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TenureState {
    pub(super) fn is_disowned(&self) -> bool {
        self.phase == Phase::Disowned
    }

    /// Begins an accept. Returns false if the socket is disowned.
    pub(super) fn begin_accept(&mut self) -> bool {
        self.is_unused = false;
        !self.is_disowned()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    /// Stops the listener, and calls `refuse_clients` if the socket is its own. Does nothing if the
    /// socket is disowned.
    pub(super) fn stop(&mut self, refuse_clients: impl FnOnce()) {
        if self.is_disowned() {
            return;
        }
        self.phase = Phase::Stopped;
        self.file = None;
        if self.is_owned {
            refuse_clients();
        }
    }

    /// Stops a listener that is dropped. Leaves the file if it is still unused.
    pub(super) fn end(&mut self) {
        if self.is_unused {
            self.keep_file();
        }
        self.stop(|| {});
    }

    /// Makes the socket one of this process, with its file.
    pub(super) fn own(&mut self, file: Option<SocketFile>) {
        self.is_owned = true;
        self.is_unused = true;
        self.file = file;
    }

    fn disown(&mut self) {
        self.phase = Phase::Disowned;
        self.is_owned = false;
        self.keep_file();
    }

    fn keep_file(&mut self) {
        if let Some(file) = self.file.take() {
            file.keep();
        }
    }
}

fn ended(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, problem)
}
