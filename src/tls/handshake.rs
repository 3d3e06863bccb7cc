//! The handshake, of either side.

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_lite::{AsyncRead, AsyncWrite};
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, Error, ProtocolVersion, ServerConfig};
use rustls_pki_types::ServerName;

use super::config::take_server_name;
use super::halves::Layer;
use super::session::Session;
use super::shared::Shared;
use super::{Info, TlsConnection, TlsReader, TlsWriter};
use crate::connection::{self, AnyRead, AnyWrite, Connection, Flag};
use crate::reason::Reason;

/// The future of a TLS handshake: that of [`Acceptor::accept`](super::Acceptor::accept) and
/// [`Connector::handshake`](super::Connector::handshake).
///
/// Until it is done, the connection is in a [handshake](crate::Peer::handshake), with its deadline.
#[must_use = "futures do nothing unless they are polled"]
pub struct Handshake<R = AnyRead, W = AnyWrite>(State<R, W>);

enum State<R, W> {
    Waiting(Box<Waiting<R, W>>),
    InProgress(InProgress<R, W>),
    Failed(io::Error),
    Done,
}

/// A server that waits for the first bytes of its client. There is no session yet.
struct Waiting<R, W> {
    config: Arc<ServerConfig>,
    connection: Connection<R, W>,
    phase: connection::Handshake,
}

struct InProgress<R, W> {
    layer: Arc<Layer<R, W>>,
    /// The name that the client asks for.
    server_name: Option<Box<str>>,
    is_complete: bool,
    /// The connection is in a handshake until this is dropped.
    _phase: connection::Handshake,
}

impl<R, W> Handshake<R, W> {
    pub(super) fn server(config: Arc<ServerConfig>, connection: Connection<R, W>) -> Self {
        let phase = connection.peer.handshake();
        Self(State::Waiting(Box::new(Waiting {
            config,
            connection,
            phase,
        })))
    }

    pub(super) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        connection: Connection<R, W>,
    ) -> Self {
        let server_name = Some(name.to_str().into());
        let session = UnbufferedClientConnection::new(config, name);
        let phase = connection.peer.handshake();
        Self(State::new(
            session.map(Session::from),
            server_name,
            connection,
            phase,
        ))
    }

    pub(super) fn failed(error: io::Error) -> Self {
        Self(State::Failed(error))
    }
}

impl<R, W> State<R, W> {
    fn new(
        session: Result<Session, Error>,
        server_name: Option<Box<str>>,
        connection: Connection<R, W>,
        phase: connection::Handshake,
    ) -> Self {
        let session = match session {
            Ok(session) => session,
            Err(error) => return Self::Failed(io::Error::other(error)),
        };
        let (reader, writer, peer) = connection.into_parts();
        Self::InProgress(InProgress {
            layer: Arc::new(Shared::new(session, reader, writer, peer)),
            server_name,
            is_complete: false,
            _phase: phase,
        })
    }
}

impl<R, W> Future for Handshake<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Output = io::Result<TlsConnection<R, W>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Waiting(waiting) = &mut self.0 {
            let begun = ready!(waiting.poll_begun(cx));
            let waiting = mem::replace(&mut self.0, State::Done);
            begun?;
            self.0 = waiting.begin();
        }
        let completed = match &mut self.0 {
            State::InProgress(handshake) => ready!(handshake.poll_complete(cx)),
            _ => Ok(()),
        };
        Poll::Ready(match mem::replace(&mut self.0, State::Done) {
            State::InProgress(handshake) => match completed {
                Ok(()) => Ok(handshake.into_connection()),
                Err(error) => Err(handshake.fail(cx, error)),
            },
            State::Failed(error) => Err(error),
            _ => Err(io::Error::other("the TLS handshake is over")),
        })
    }
}

impl<R, W> State<R, W> {
    /// Makes the session of a server that has waited for its client.
    fn begin(self) -> Self {
        let Self::Waiting(waiting) = self else {
            return self;
        };
        let session = UnbufferedServerConnection::new(waiting.config).map(Session::from);
        Self::new(session, None, waiting.connection, waiting.phase)
    }
}

impl<R, W> Waiting<R, W>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    /// Waits until the client begins. A drain does not wait for a client that sends nothing.
    fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.connection.writer).poll_flush(cx))?;
        let begun = ready!(self.connection.reader.poll_more_or_drain(cx));
        let record = self.connection.peer.record();
        if record.flags.has(Flag::Drained) {
            record.set_cause(Reason::Drained);
            let text = "the server drains, and the TLS handshake has not begun";
            return Poll::Ready(Err(io::Error::new(ErrorKind::ConnectionAborted, text)));
        }
        let begun = match begun {
            Ok(true) => return Poll::Ready(Ok(())),
            Ok(false) => Err(ended()),
            Err(error) => Err(error),
        };
        record.set_cause(Reason::Tls);
        Poll::Ready(begun)
    }
}

fn ended() -> io::Error {
    let text = "the stream ended during the TLS handshake";
    io::Error::new(ErrorKind::UnexpectedEof, text)
}

impl<R, W> InProgress<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    fn poll_complete(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.is_complete {
                self.is_complete = self.process()?;
            }
            if self.is_complete && !self.has_to_flush() {
                return Poll::Ready(Ok(()));
            }
            let flushed = self.layer.poll_flush(cx)?;
            if self.is_complete {
                return flushed.map(Ok);
            }
            // Both ends may send at the same time, so this one reads even if the stream is full.
            ready!(self.layer.poll_receive(cx))?;
        }
    }

    /// Continues with the bytes received so far. Returns true if the handshake is complete.
    fn process(&mut self) -> io::Result<bool> {
        let mut session = self.layer.session();
        if !session.is_server() {
            return session.handshake();
        }
        // Another session may have left one on this thread.
        drop(take_server_name());
        let is_complete = session.handshake();
        if let Some(name) = take_server_name() {
            self.server_name = Some(name);
        }
        is_complete
    }

    /// Returns true if the peer waits for the last records. Those of a server of TLS 1.3 are tickets
    /// for later sessions, which cost less if they leave with the first payload. If the first request
    /// is not there yet, the reader sends them while it waits.
    fn has_to_flush(&self) -> bool {
        let session = self.layer.session();
        let version = session.common().protocol_version();
        !session.is_server() || version != Some(ProtocolVersion::TLSv1_3)
    }

    fn into_connection(self) -> TlsConnection<R, W> {
        let mut layer = self.layer;
        let info = Info::of(layer.session().common(), self.server_name);
        let connection = Connection::layered(layer.peer.clone(), |beneath| {
            // The halves do not exist yet.
            if let Some(layer) = Arc::get_mut(&mut layer) {
                layer.beneath = beneath;
            }
            (TlsReader(layer.clone()), TlsWriter(layer.clone()), layer)
        });
        connection.peer.set_extension(info);
        connection
    }

    /// Sends the alert, if the stream takes it at once.
    fn fail(self, cx: &mut Context<'_>, error: io::Error) -> io::Error {
        self.layer.peer.record().set_cause(Reason::Tls);
        let _ = self.layer.poll_flush(cx);
        if error.kind() == ErrorKind::UnexpectedEof {
            return ended();
        }
        error
    }
}

impl<R, W> fmt::Debug for Handshake<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}
