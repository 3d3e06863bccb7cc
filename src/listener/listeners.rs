//! `Listeners`: several listeners as one, polled in turn.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};

use super::memory::MemoryListener;
use super::share::{SharedListeners, SocketRef};
use super::{Listener, Once};
use crate::connection::{AnyRead, AnyWrite, Connection, Endpoint};

/// Several listeners of any kind as one. Each accept begins with the listener after the one that
/// yielded last, so a busy listener does not starve the others. It ends when all have ended.
///
/// [`bind`](crate::bind) returns one; [`and`](Self::and) joins two.
/// [`merge`](crate::listener::merge) adds a listener of any other type.
///
/// # Examples
///
/// ```
/// use halves::bind;
///
/// # smol::block_on(async {
/// let listeners = bind("127.0.0.1:0").await?.and(bind("127.0.0.1:0").await?);
/// assert_eq!(listeners.local_addrs().len(), 2);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Default)]
pub struct Listeners {
    members: Vec<Member>,
    /// The number of members so far, with those that have ended.
    joined: usize,
    /// The index of the first member to poll.
    next: usize,
    /// Set if the next accept must call the kernel: the last accept was dropped while it waited,
    /// or the listeners were stopped.
    assume_readable: bool,
}

/// A listener, and its index in the list as it was joined.
struct Member {
    index: usize,
    listener: Box<dyn DynListener + Send>,
}

/// A [`Listener`] that can be boxed and polled with others by one task.
pub(super) trait DynListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Connection>>>;
    fn local(&self) -> Endpoint;
    /// Makes the next poll call the kernel even if the cached readiness reports no connection.
    fn assume_readable(&self) {}
    /// As [`Listener::stop`].
    fn stop(&mut self);
    /// Returns true if clients can connect to it.
    fn listens(&self) -> bool {
        true
    }
    /// Makes a socket that was taken over one of this process.
    fn own(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// Returns a reference to the listening socket, if it is one.
    fn share(&self, _index: usize) -> Option<SocketRef> {
        None
    }
}

impl Listeners {
    pub(super) fn of(member: impl DynListener + Send + 'static) -> Self {
        let mut listeners = Self::default();
        listeners.push(member);
        listeners
    }

    pub(super) fn push(&mut self, member: impl DynListener + Send + 'static) {
        self.join(Box::new(member));
    }

    /// Adds other listeners to these.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::Listeners;
    /// use halves::listener::memory;
    ///
    /// let (listener, connector) = memory::listener(64);
    /// let listeners = Listeners::default().and(listener);
    /// # drop((listeners, connector));
    /// ```
    #[must_use]
    pub fn and(mut self, others: impl Into<Self>) -> Self {
        for other in others.into().members {
            self.join(other.listener);
        }
        self
    }

    fn join(&mut self, listener: Box<dyn DynListener + Send>) {
        let index = self.joined;
        self.joined += 1;
        self.members.push(Member { index, listener });
    }

    /// Returns the address that each member listens on, or the local address of a connection. Port
    /// 0 is replaced by the port that the system chose.
    ///
    /// # Examples
    ///
    /// ```
    /// let listeners = smol::block_on(halves::bind("127.0.0.1:0"))?;
    /// let address = listeners.local_addrs()[0].socket_addr().expect("it is TCP");
    /// assert_ne!(address.port(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn local_addrs(&self) -> Vec<Endpoint> {
        let members = self.members.iter();
        members.map(|member| member.listener.local()).collect()
    }

    /// Returns, for each member in the order of [`local_addrs`](Self::local_addrs), true if clients
    /// can connect to it. Otherwise it is one existing connection: a [`Once`], standard input and
    /// output, or an inherited connection.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Connection, Listeners, Once, bind};
    ///
    /// let once = Once::new(Connection::new(&b"hello"[..], vec![]));
    /// let listeners = smol::block_on(bind("127.0.0.1:0"))?.and(once);
    /// assert_eq!(listeners.listens(), [true, false]);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn listens(&self) -> Vec<bool> {
        let members = self.members.iter();
        members.map(|member| member.listener.listens()).collect()
    }

    /// Makes the listening sockets that were taken over sockets of this process, as if it had bound
    /// them: at the end clients are refused, and the file of a Unix socket is removed, unless
    /// another file has taken its place meanwhile. Connections inherit the options of the socket.
    ///
    /// Nothing changes before the first accept, because the process before this one may go on until
    /// then: a listener that is dropped leaves the file in place. The first accept sets the options
    /// and the backlog. Clients that have connected before have the options of that process.
    ///
    /// For a socket that the process before this one has left to it (see
    /// [`SharedListeners::disown`]). A process that still accepts on the socket would lose its
    /// clients at the end of this one. Other members stay as they are.
    ///
    /// # Errors
    ///
    /// The error of the system if the file cannot be found.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::{Listeners, connect};
    /// use std::{net::TcpListener, os::fd::OwnedFd};
    ///
    /// let socket = TcpListener::bind("127.0.0.1:0")?;
    /// let listeners = Listeners::try_from(OwnedFd::from(socket))?.own()?;
    /// assert!(listeners.share().sockets()?[0].is_owned);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn own(mut self) -> io::Result<Self> {
        let mut members = self.members.iter_mut();
        members.try_for_each(|member| member.listener.own())?;
        Ok(self)
    }

    /// Returns a handle by which another process takes over the listening sockets, while a server
    /// has these listeners. Listeners that are joined later are not among them.
    ///
    /// # Examples
    ///
    /// ```
    /// let listeners = smol::block_on(halves::bind("127.0.0.1:0"))?;
    /// let shared = listeners.share();
    /// assert_eq!(shared.sockets()?.len(), 1);
    /// drop(listeners);
    /// assert!(shared.sockets().is_err(), "the handle does not keep the socket open");
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn share(&self) -> SharedListeners {
        let members = self.members.iter();
        SharedListeners::new(members.filter_map(|member| member.listener.share(member.index)))
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Connection>>> {
        let mut waiting = 0;
        while waiting < self.members.len() {
            let index = (self.next + waiting) % self.members.len();
            match self.members[index].listener.poll_accept(cx) {
                Poll::Pending => waiting += 1,
                Poll::Ready(Ok(None)) => {
                    self.members.remove(index);
                    (self.next, waiting) = (index, 0);
                }
                Poll::Ready(result) => {
                    self.next = index + 1;
                    if let Ok(Some(connection)) = &result {
                        let record = connection.peer.record();
                        record.set_listener(self.members[index].index);
                    }
                    return Poll::Ready(result);
                }
            }
        }
        if self.members.is_empty() {
            return Poll::Ready(Ok(None));
        }
        Poll::Pending
    }
}

impl Listener for Listeners {
    type Reader = AnyRead;
    type Writer = AnyWrite;

    async fn accept(&mut self) -> io::Result<Option<Connection>> {
        if mem::take(&mut self.assume_readable) {
            self.members
                .iter()
                .for_each(|member| member.listener.assume_readable());
        }
        poll_fn(|cx| {
            let polled = self.poll_accept(cx);
            self.assume_readable = polled.is_pending();
            polled
        })
        .await
    }

    fn stop(&mut self) {
        let members = self.members.iter_mut();
        members.for_each(|member| member.listener.stop());
        self.assume_readable = true;
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        Self::local_addrs(self)
    }
}

impl From<MemoryListener> for Listeners {
    fn from(listener: MemoryListener) -> Self {
        Self::of(listener)
    }
}

impl<R, W> From<Once<R, W>> for Listeners
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    fn from(listener: Once<R, W>) -> Self {
        Self::of(listener)
    }
}

impl DynListener for MemoryListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Connection>>> {
        let accepted = MemoryListener::poll_accept(self, cx);
        accepted.map(|connection| Ok(connection.map(Connection::erase)))
    }

    fn local(&self) -> Endpoint {
        Endpoint::Memory
    }

    fn stop(&mut self) {
        Listener::stop(self);
    }
}

impl<R, W> DynListener for Once<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Option<Connection>>> {
        Poll::Ready(Ok(self.take().map(Connection::erase)))
    }

    fn local(&self) -> Endpoint {
        self.peek()
            .map_or(Endpoint::Unknown, |connection| connection.peer.local())
    }

    /// There is no other client to refuse.
    fn stop(&mut self) {}

    fn listens(&self) -> bool {
        false
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listeners")
            .field(&self.local_addrs())
            .finish()
    }
}
