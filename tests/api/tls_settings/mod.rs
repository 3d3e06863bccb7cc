//! Settings of TLS: the errors of files, the choice of a certificate, and the reload.

mod errors;
mod reload;
mod server_names;
mod verification;

use std::io::Read;

use halves::tls::rustls::{self, ClientConnection, ConnectionCommon, ServerConnection};
use halves::tls::{Acceptor, ClientSettings, Connector, ServerSettings};
use rustls::pki_types::ServerName;

use crate::support::pki::{Authority, Leaf};

/// Both ends of a connection in memory, after a handshake.
struct Ends {
    client: ClientConnection,
    server: ServerConnection,
}

impl Ends {
    /// The certificate that the server has shown.
    fn certificate(&self) -> &[u8] {
        &self.client.peer_certificates().expect("a certificate")[0]
    }
}

/// A handshake, by the connections of rustls that have their own buffers. The error is that of the
/// end that found it.
fn handshake(
    acceptor: &Acceptor,
    connector: &Connector,
    name: &str,
) -> Result<Ends, rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let mut client = ClientConnection::new(connector.config(), name)?;
    let mut server = ServerConnection::new(acceptor.config())?;
    while client.is_handshaking() || server.is_handshaking() {
        pass(&mut client, &mut server)?;
        pass(&mut server, &mut client)?;
    }
    // With these come the tickets.
    pass(&mut server, &mut client)?;
    Ok(Ends { client, server })
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

/// A server with these pairs.
fn acceptor(pairs: &[&Leaf]) -> Acceptor {
    let settings = pairs.iter().fold(ServerSettings::new(), |settings, pair| {
        settings.certificate_pem(&pair.certificate, &pair.key)
    });
    settings.load().expect("good settings")
}

/// A client that trusts this CA.
fn connector(authority: &Authority) -> Connector {
    trusting(authority).load().expect("good settings")
}

fn trusting(authority: &Authority) -> ClientSettings {
    ClientSettings::new().ca_pem(authority.pem())
}
