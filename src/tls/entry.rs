//! The calls that make a TLS connection from a connection.

use std::future::Future;
use std::io::{self, ErrorKind};

use futures_lite::{AsyncRead, AsyncWrite};
use rustls_pki_types::ServerName;

use super::{Acceptor, Connector, Handshake, TlsConnection};
use crate::address::Address;
use crate::connection::{Connection, Wrapped};

impl Acceptor {
    /// Does the handshake of a server on this connection.
    ///
    /// Not cancel-safe: dropping the future drops the connection.
    ///
    /// # Errors
    ///
    /// * [`InvalidData`](ErrorKind::InvalidData) if the client does not speak TLS, or the two do not
    ///   agree. The client gets an alert.
    /// * [`UnexpectedEof`](ErrorKind::UnexpectedEof) if the stream ends.
    /// * Those of the stream.
    ///
    /// The connection is dropped then. It ends with the reason [`Tls`](crate::Reason::Tls), whatever
    /// the handler returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
    /// use halves::listener::memory;
    /// use halves::tls::{ClientSettings, Info, ServerSettings};
    ///
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// # let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// let connector = ClientSettings::new().ca_pem(&chain).load()?;
    /// let acceptor = ServerSettings::new().certificate_pem(chain, key).load()?;
    /// # smol::block_on(async {
    /// let (near, far) = memory::pair(1024);
    /// let handshakes = (connector.handshake(near, "localhost"), acceptor.accept(far));
    /// let (mut client, mut server) = future::try_zip(handshakes.0, handshakes.1).await?;
    /// client.writer.write_all(b"hello").await?;
    /// client.writer.close().await?;
    /// let mut received = String::new();
    /// server.reader.read_to_string(&mut received).await?;
    /// assert_eq!(received, "hello");
    /// let info = server.peer.extension::<Info>().unwrap();
    /// assert_eq!(info.server_name(), Some("localhost"));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn accept<R, W>(&self, connection: Connection<R, W>) -> Handshake<R, W> {
        Handshake::server(self.config(), connection)
    }

    /// Returns a handler for a server that does the handshake of each connection, and then calls
    /// `handler`.
    ///
    /// The handshake runs in the task of the connection, with the deadline of
    /// [`Timeouts::handshake`](crate::Timeouts::handshake). The errors are those of
    /// [`accept`](Self::accept).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use halves::service::upper;
    /// use halves::tls::{Acceptor, TlsConnection};
    /// use halves::{Executor, Server, bind};
    ///
    /// let acceptor = Acceptor::from_files("cert.pem", "key.pem")?;
    /// let ex = Executor::new();
    /// ex.block_on(async {
    ///     let handler = acceptor.wrap(async |c: TlsConnection| upper(c.reader, c.writer).await);
    ///     let listeners = bind(":443").await?;
    ///     Server::default().serve(&ex, listeners, handler).await
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wrap<R, W, H, F>(
        &self,
        handler: H,
    ) -> impl FnOnce(Connection<R, W>) -> Wrapped<Handshake<R, W>, H, F> + Clone + use<R, W, H, F>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
        H: FnOnce(TlsConnection<R, W>) -> F + Clone,
        F: Future<Output = io::Result<()>>,
    {
        let acceptor = self.clone();
        move |connection| Wrapped::new(acceptor.accept(connection), handler)
    }
}

impl Connector {
    /// Does the handshake of a client on this connection, with a server that has this name: a name
    /// of DNS or an IP address.
    ///
    /// The connection may be in use already. Bytes that it has written are flushed, and bytes that it
    /// has read ahead belong to the handshake.
    ///
    /// Not cancel-safe: dropping the future drops the connection.
    ///
    /// # Errors
    ///
    /// * [`InvalidInput`](ErrorKind::InvalidInput) if `name` is neither of the two.
    /// * [`InvalidData`](ErrorKind::InvalidData) if the server does not speak TLS, or the two do not
    ///   agree, or its certificate is refused. The server gets an alert.
    /// * [`UnexpectedEof`](ErrorKind::UnexpectedEof) if the stream ends.
    /// * Those of the stream.
    ///
    /// The connection is dropped then.
    ///
    /// # Examples
    ///
    /// A client of a protocol that begins in clear text:
    ///
    /// ```no_run
    /// use futures_lite::AsyncWriteExt;
    /// use halves::connect;
    /// use halves::tls::{Connector, TlsConnection};
    /// use std::io;
    ///
    /// async fn start_tls(connector: &Connector) -> io::Result<TlsConnection> {
    ///     let mut connection = connect("mail.example.org:143").await?;
    ///     connection.writer.write_all(b"1 STARTTLS\r\n").await?;
    ///     while let Some(line) = connection.reader.line().await? {
    ///         if line.starts_with(b"1 OK") {
    ///             return connector.handshake(connection, "mail.example.org").await;
    ///         }
    ///     }
    ///     Err(io::ErrorKind::UnexpectedEof.into())
    /// }
    /// ```
    pub fn handshake<R, W>(&self, connection: Connection<R, W>, name: &str) -> Handshake<R, W> {
        match server_name(name) {
            Ok(name) => Handshake::client(self.config(), name, connection),
            Err(error) => Handshake::failed(error),
        }
    }

    /// Does the same as [`handshake`](Self::handshake), with a name that is checked already.
    pub(crate) fn handshake_as(
        &self,
        connection: Connection,
        name: ServerName<'static>,
    ) -> Handshake {
        Handshake::client(self.config(), name, connection)
    }

    /// Returns the name that the server at this address is asked for: the one of the settings, or
    /// else the host.
    pub(crate) fn name_at(&self, address: &Address) -> io::Result<ServerName<'static>> {
        match (self.server_name(), address) {
            (Some(name), _) => Ok(name.clone()),
            (None, Address::Tcp { host, .. }) if host.is_empty() => server_name("localhost"),
            (None, Address::Tcp { host, .. }) => {
                // The zone of a link-local address is not part of it.
                let (host, _zone) = host.split_once('%').unwrap_or((host, ""));
                server_name(host)
            }
            (None, _) => {
                let problem = "the address has no host: set the name of the TLS server";
                Err(io::Error::new(ErrorKind::InvalidInput, problem))
            }
        }
    }
}

fn server_name(name: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).map_err(|_| {
        let problem = format!("{name:?} is neither a name of DNS nor an IP address");
        io::Error::new(ErrorKind::InvalidInput, problem)
    })
}
