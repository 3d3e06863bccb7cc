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
use super::plan::happens;
use super::trace::Event;
use crate::connection::{Connection, Endpoint};
use crate::listener::Listener;

/// Accepts the connections to a name of a simulation: see [`Sim::listen`](super::Sim::listen).
///
/// Its drop resets the connections that wait to be accepted, as the kernel does.
pub struct SimListener {
    name: Arc<str>,
    address: SocketAddr,
    network: Rc<RefCell<Network>>,
    /// Decides which accepts fail.
    rng: Rng,
    accepts: u64,
    /// True if the next accept has failed once already.
    has_failed: bool,
}

impl SimListener {
    pub(super) fn new(
        name: Arc<str>,
        network: Rc<RefCell<Network>>,
        seed: u64,
    ) -> io::Result<Self> {
        let address = network.borrow_mut().listen(&name)?;
        let length = name.len() as u64;
        Ok(Self {
            name,
            address,
            network,
            rng: Rng::with_seed(seed ^ length),
            accepts: 0,
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
        if !std::mem::replace(&mut self.has_failed, true) {
            self.accepts += 1;
            let share = network.conditions.faults.accept_errors;
            let fault = format!("accept {} of {}: EMFILE", self.accepts, self.name);
            if happens(&mut self.rng, share) && network.permits(&fault) {
                network.conditions.trace.add_fault(fault);
                return Poll::Ready(Err(Errno::MFILE.into()));
            }
        }
        self.has_failed = false;
        let queue = network.queue(&self.name);
        let Some((number, connection)) = queue.and_then(|queue| queue.waiting.pop_front()) else {
            return Poll::Ready(Ok(None));
        };
        network.conditions.trace.add(Event::Accepted(number));
        Poll::Ready(Ok(Some(connection)))
    }
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
