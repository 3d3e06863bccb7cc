//! `SimListener`: accepts the connections to a name.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use fastrand::Rng;
use rustix::io::Errno;

use super::end::{SimReader, SimWriter};
use super::network::{Network, SimConnection};
use super::plan::{Fault, below, happens};
use crate::connection::{Connection, Endpoint};
use crate::listener::Listener;

/// The errors of an accept: of limits, and of one connection.
const ACCEPT_ERRORS: [(Errno, &str); 7] = [
    (Errno::MFILE, "EMFILE"),
    (Errno::NFILE, "ENFILE"),
    (Errno::NOBUFS, "ENOBUFS"),
    (Errno::NOMEM, "ENOMEM"),
    (Errno::CONNABORTED, "ECONNABORTED"),
    (Errno::PROTO, "EPROTO"),
    (Errno::INTR, "EINTR"),
];

/// Accepts the connections to a name of a simulation: see [`Sim::listen`](super::Sim::listen).
///
/// Its drop resets the connections that wait to be accepted, as the kernel does.
pub struct SimListener {
    name: Arc<str>,
    address: SocketAddr,
    network: Rc<RefCell<Network>>,
    /// True if the next accept has failed once already.
    has_failed: bool,
}

impl SimListener {
    pub(super) fn new(name: Arc<str>, network: Rc<RefCell<Network>>) -> io::Result<Self> {
        let address = network.borrow_mut().listen(&name)?;
        Ok(Self {
            name,
            address,
            network,
            has_failed: false,
        })
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<SimConnection>>> {
        let mut network = self.network.borrow_mut();
        let Some(queue) = network.queue(&self.name) else {
            return Poll::Ready(Ok(None));
        };
        if queue.waiting.is_empty() {
            if queue.is_stopped {
                return Poll::Ready(Ok(None));
            }
            queue.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if !std::mem::replace(&mut self.has_failed, true)
            && let Some(error) = planned_error(&network, &self.name)
        {
            return Poll::Ready(Err(error.into()));
        }
        self.has_failed = false;
        Poll::Ready(Ok(network.accept(&self.name)))
    }
}

/// Returns the error of the next accept, if it fails first. The seed, the name and the number of the
/// accept decide.
fn planned_error(network: &Network, name: &Arc<str>) -> Option<Errno> {
    let share = network.conditions.faults.accept_errors;
    if share == 0.0 {
        return None;
    }
    let number = network.next_accept(name);
    let mut rng = Rng::with_seed(network.seed ^ hash(name).wrapping_add(number));
    let (error, text) = ACCEPT_ERRORS[below(&mut rng, ACCEPT_ERRORS.len())];
    let fault = Fault::Accept {
        name: name.clone(),
        number,
        error: text,
    };
    let fails = happens(&mut rng, share) && network.permits(&fault);
    fails.then(|| {
        network.conditions.trace.add_fault(fault);
        error
    })
}

/// Hashes a name: FNV-1a, the same on every machine.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

impl Listener for SimListener {
    type Reader = SimReader;
    type Writer = SimWriter;

    async fn accept(&mut self) -> io::Result<Option<Connection<SimReader, SimWriter>>> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn stop(&mut self) {
        if let Some(queue) = self.network.borrow_mut().queue(&self.name) {
            queue.is_stopped = true;
        }
    }

    fn local_addrs(&self) -> Vec<Endpoint> {
        vec![Endpoint::Inet(self.address)]
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let waiting = self.network.borrow_mut().close(&self.name);
        for connection in waiting {
            connection.peer.abort();
        }
    }
}

impl fmt::Debug for SimListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimListener").field(&self.name).finish()
    }
}
