//! TLS 1.2 and 1.3 as a layer on any connection, over rustls.

mod config;
mod describe;
mod info;
#[cfg(test)]
mod tests;

pub use config::{
    Acceptor, ClientAuth, ClientSettings, Connector, LoadError, ServerSettings, Version,
};
pub use info::{Info, PeerCertificate};
pub use rustls;
