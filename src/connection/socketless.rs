//! Where there are no sockets of our own, there is nothing to hold but what the halves are.

#![allow(clippy::unused_self, reason = "elsewhere these ask the socket")]

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Link, Record};

/// A use of a connection's stream: by a half, or by the server that ends it.
#[derive(Debug)]
pub(crate) struct Hold(Arc<Record>);

impl Hold {
    pub(crate) fn of(record: &Arc<Record>) -> Self {
        Self(record.clone())
    }

    pub(crate) fn host(&self) -> &Arc<Record> {
        &self.0
    }
}

impl Link for Hold {
    fn poll_linger(&self, _: &mut Context<'_>, _: bool) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn abort(&self) {}
}

impl Record {
    pub(crate) fn is_socket(&self) -> bool {
        false
    }

    pub(super) fn is_corked(&self) -> bool {
        false
    }

    pub(crate) fn is_taken(&self) -> bool {
        false
    }

    pub(super) fn disconnect(&self) {}
}
