//! TLS 1.2 and 1.3 as a layer on any connection, over rustls.

mod config;
mod describe;
mod entry;
mod halves;
mod handshake;
mod info;
mod link;
mod session;
mod shared;
#[cfg(test)]
mod tests;

pub use config::{
    Acceptor, ClientAuth, ClientSettings, Connector, LoadError, ServerSettings, Version,
};
pub use halves::{TlsConnection, TlsReader, TlsWriter};
pub use handshake::Handshake;
pub use info::{Info, PeerCertificate};
pub use rustls;
