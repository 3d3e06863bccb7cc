//! The error that ends a session.

use std::error::Error as StdError;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls::Error;

use crate::tls::describe::{describe, describe_start};

/// The error that ends a session, and its description. Each later call returns it again.
#[derive(Clone, Debug)]
pub(super) struct Failure(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    description: String,
    error: Error,
}

impl Failure {
    /// `start` are the first bytes of the peer, if the error is at the beginning of the connection.
    pub(super) fn new(error: Error, start: Option<&[u8]>) -> Self {
        let description = match start {
            Some(start) => describe_start(&error, start),
            None => describe(&error),
        };
        Self(Arc::new(Inner { description, error }))
    }
}

impl From<&Failure> for io::Error {
    fn from(failure: &Failure) -> Self {
        Self::new(ErrorKind::InvalidData, failure.clone())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.description)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0.error)
    }
}
