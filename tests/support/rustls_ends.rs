//! Both ends of a TLS connection in memory, by the connections of rustls that have their own
//! buffers.

use std::io::Read;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ConnectionCommon, ServerConfig, ServerConnection};

/// Both ends after a handshake.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) client: ClientConnection,
    pub(crate) server: ServerConnection,
}

impl Ends {
    /// Does a handshake. The error is that of the end that found it.
    pub(crate) fn new(
        server: Arc<ServerConfig>,
        client: Arc<ClientConfig>,
        name: &str,
    ) -> Result<Self, rustls::Error> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let mut client = ClientConnection::new(client, name)?;
        let mut server = ServerConnection::new(server)?;
        while client.is_handshaking() || server.is_handshaking() {
            pass(&mut client, &mut server)?;
            pass(&mut server, &mut client)?;
        }
        // With these come the tickets.
        pass(&mut server, &mut client)?;
        Ok(Self { client, server })
    }

    /// The certificate that the server has shown.
    pub(crate) fn certificate(&self) -> &[u8] {
        &self.client.peer_certificates().expect("a certificate")[0]
    }
}

/// Passes everything that one end has to send to the other end.
fn pass<A, B>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> Result<(), rustls::Error> {
    let mut sent = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut sent).expect("memory");
    }
    let mut sent = &sent[..];
    while !sent.is_empty() {
        to.read_tls(&mut sent.by_ref()).expect("memory");
        to.process_new_packets()?;
    }
    Ok(())
}
