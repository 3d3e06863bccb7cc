//! Settings of TLS: the errors of files, the choice of a certificate, and the reload.

mod check;
mod errors;
mod random;
mod reload;
mod server_names;
mod verification;

use halves::tls::rustls;
use halves::tls::{Acceptor, ClientSettings, Connector, ServerSettings};

use crate::support::pki::{Authority, Leaf};
use crate::support::rustls_ends::Ends;

/// A handshake in memory. The error is that of the end that found it.
fn handshake(
    acceptor: &Acceptor,
    connector: &Connector,
    name: &str,
) -> Result<Ends, rustls::Error> {
    Ends::new(acceptor.config(), connector.config(), name)
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
