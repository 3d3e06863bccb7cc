//! TLS 1.2 and 1.3 as a layer on any connection, over rustls.
//!
//! A server has an [`Acceptor`], a client a [`Connector`]. Both make a [`TlsConnection`] from a
//! connection on any stream, which may be in use already. The peer then has an [`Info`]:
//! `connection.peer.extension::<Info>()`.
//!
//! # Bounds
//!
//! * An idle connection has no buffer, also after a burst. Its session takes about 3.5 KB.
//! * Up to 64 KiB of received bytes are held until they are read. Before the handshake has ended,
//!   this is the bound for a peer, beside the state of rustls: a handshake message that does not fit
//!   ends the connection.
//! * If the stream is full, the records of one write are held, of at most 64 KiB of payload.
//! * A server ends a handshake after [`Timeouts::handshake`](crate::Timeouts::handshake). A client
//!   has the timeout of [`ConnectOptions`](crate::ConnectOptions).

mod certificate_error;
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

pub use certificate_error::certificate_error;
pub use config::{
    Acceptor, ClientAuth, ClientSettings, Connector, LoadError, ServerSettings, Version,
};
pub use halves::{TlsConnection, TlsReader, TlsWriter};
pub use handshake::Handshake;
pub use info::{Info, PeerCertificate};
pub use rustls;
