//! `Door`: a listener that may end, and may leave the address of the client to the handler.

use std::io;

use halves::connection::Endpoint;
use halves::testing::{Sim, SimListener, SimReader, SimWriter};
use halves::{Connection, Listener};
use rustix::io::Errno;

use super::ledger::Ledger;
use super::settings::one_of;

pub(crate) struct Door {
    inner: SimListener,
    ledger: Ledger,
    /// The index of the listener.
    index: usize,
    /// The number of connections after which the listener ends.
    left: Option<u64>,
    /// The handler reads the address of the client.
    anonymous: bool,
    /// The errors that come before the next connection.
    errors: Vec<Errno>,
    is_stopped: bool,
}

impl Door {
    pub(crate) fn random(sim: &Sim, ledger: &Ledger, name: &str, index: usize) -> io::Result<Self> {
        Ok(Self {
            inner: sim.listen(name)?,
            ledger: ledger.clone(),
            index,
            left: one_of(sim, 6).then(|| sim.random(0..3)),
            anonymous: one_of(sim, 5),
            errors: Self::random_errors(sim),
            is_stopped: false,
        })
    }

    /// Returns a few errors of accept: of a limit, and of single connections.
    fn random_errors(sim: &Sim) -> Vec<Errno> {
        if !one_of(sim, 8) {
            return Vec::new();
        }
        let kinds = [Errno::MFILE, Errno::CONNABORTED, Errno::NOMEM, Errno::PERM];
        let error = |_| kinds[usize::try_from(sim.random(0..4)).expect("a small number")];
        (0..sim.random(1..20)).map(error).collect()
    }
}

impl Listener for Door {
    type Reader = SimReader;
    type Writer = SimWriter;

    async fn accept(&mut self) -> io::Result<Option<Connection<SimReader, SimWriter>>> {
        if self.left == Some(0) {
            return Ok(None);
        }
        if let Some(error) = self.errors.pop() {
            self.ledger.accept_failed(is_limit(error));
            return Err(error.into());
        }
        let accepted = self.inner.accept().await;
        if accepted.is_err() {
            self.ledger.accept_failed(true);
        }
        let Some(mut connection) = accepted? else {
            return Ok(None);
        };
        self.ledger.accepted();
        self.left = self.left.map(|left| left - 1);
        if self.anonymous {
            self.ledger.anonymous(&connection.peer);
            connection.peer = connection.peer.anonymous();
        }
        Ok(Some(connection))
    }

    fn stop(&mut self) {
        self.is_stopped = true;
        self.inner.stop();
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        self.inner.local_addrs()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.ledger.lose(self.index, self.is_stopped);
    }
}

/// Returns true if a resource is used up, so that the server pauses.
fn is_limit(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NOMEM)
}
