//! Code that several test programs share. Each `main.rs` includes this module by its path.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod conformance;
pub(crate) mod fifo;
#[cfg(feature = "tls")]
pub(crate) mod forger;
pub(crate) mod frames;
pub(crate) mod harness;
pub(crate) mod leftovers;
pub(crate) mod namespace;
pub(crate) mod pieces;
pub(crate) mod pki;
pub(crate) mod place;
pub(crate) mod receipts;
#[cfg(feature = "tls")]
pub(crate) mod rustls_ends;
pub(crate) mod seed;
pub(crate) mod skip;
pub(crate) mod terminal;
#[cfg(feature = "tls")]
pub(crate) mod tls_ends;
#[cfg(feature = "tls")]
pub(crate) mod tls_peer;
