//! A client over rustls, for a socket that blocks or not.

use super::{SERVER_NAME, certificate_path, load};
use crate::place::{Stream, Transport};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// The settings of a client, and the sessions that it can resume.
pub struct Client {
    full: Arc<ClientConfig>,
    resuming: Arc<ClientConfig>,
}

/// A TLS connection to a server.
pub struct TlsStream {
    socket: Stream,
    session: ClientConnection,
}

impl Client {
    /// Trusts the certificate in `folder`. Every handshake has the same version, key exchange and
    /// cipher, so that servers do not differ in these.
    pub fn new(folder: &Path) -> io::Result<Client> {
        let mut roots = RootCertStore::empty();
        roots
            .add(load(&certificate_path(folder))?)
            .map_err(io::Error::other)?;
        let provider = CryptoProvider {
            cipher_suites: vec![ring::cipher_suite::TLS13_AES_256_GCM_SHA384],
            kx_groups: vec![ring::kx_group::X25519],
            ..ring::default_provider()
        };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut full = config.clone();
        full.resumption = Resumption::disabled();
        Ok(Client {
            full: Arc::new(full),
            resuming: Arc::new(config),
        })
    }

    /// Performs a full handshake on a blocking socket.
    pub fn connect(&self, socket: Stream) -> io::Result<TlsStream> {
        TlsStream::connect(&self.full, socket)
    }

    /// Performs a handshake that resumes an earlier session of this function, if there is one.
    pub fn resume(&self, socket: Stream) -> io::Result<TlsStream> {
        TlsStream::connect(&self.resuming, socket)
    }
}

impl TlsStream {
    fn connect(config: &Arc<ClientConfig>, mut socket: Stream) -> io::Result<TlsStream> {
        let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
        let mut session = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(TlsStream { socket, session })
    }

    /// Returns true if the handshake resumed a session.
    pub fn is_resumed(&self) -> bool {
        self.session.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Sends what the session has for the socket.
    fn send(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}

impl Transport for TlsStream {
    fn socket(&self) -> &Stream {
        &self.socket
    }

    fn finish(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        self.send()?;
        self.socket.finish()
    }

    fn has_unsent(&self) -> bool {
        self.session.wants_write()
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            self.session.read_tls(&mut self.socket)?;
            self.session
                .process_new_packets()
                .map_err(io::Error::other)?;
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send()?;
        let count = self.session.writer().write(bytes)?;
        match self.send() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            done => done?,
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

#[cfg(test)]
mod tests {
    use crate::load::ANSWER_TIMEOUT;
    use crate::place::Transport;
    use crate::tls::testing::Server;
    use std::io::{ErrorKind, Write};

    #[test]
    fn a_full_socket_leaves_bytes_in_the_session() {
        let server = Server::start();
        let socket = server.place.connect(ANSWER_TIMEOUT).unwrap();
        let mut stream = server.client().connect(socket).unwrap();
        stream.socket().set_nonblocking().unwrap();
        assert!(!stream.has_unsent());
        // The server echoes, and blocks when nothing reads its answers.
        let error = loop {
            if let Err(error) = stream.write(&[b'a'; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(stream.has_unsent());
    }
}
