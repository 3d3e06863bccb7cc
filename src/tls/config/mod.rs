//! Settings and files to configs of rustls, for servers and clients. No I/O on connections.

mod acceptor;
mod client;
mod connector;
mod load_error;
mod options;
mod pair;
mod pem;
mod resolver;
mod roots;
mod server;
mod x509;

pub use acceptor::Acceptor;
pub use client::ClientSettings;
pub use connector::Connector;
pub use load_error::LoadError;
pub use options::{ClientAuth, Version};
pub use server::ServerSettings;

pub(super) use resolver::take_server_name;
pub(super) use x509::Fields;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The cryptography of all configs. The default of the process is not used: another crate may have
/// set it, and without one rustls panics.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
