//! The halves of every kind of stream: reading, writing, framing, joining and fairness.

mod buffered;
mod bulk;
mod descriptors;
mod exec;
mod fairness;
mod fifos;
mod framing;
mod joining;
mod memory;
mod pieces;
mod process;
mod relay;
mod stress;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tls")]
mod tls;
mod transports;
mod unix;
