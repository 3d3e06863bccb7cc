//! The names of a simulation, and the connections between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::Waker;

use super::end::{self, SimReader, SimWriter};
use super::plan::{Fault, Plan};
use super::trace::Event;
use super::wire::Conditions;
use crate::connection::{Connection, Endpoint};

/// A connection of a simulation.
pub(super) type SimConnection = Connection<SimReader, SimWriter>;

/// The listeners and the connections of a run.
pub(super) struct Network {
    pub(super) conditions: Arc<Conditions>,
    pub(super) seed: u64,
    /// The planned faults that may happen. None is all of them.
    only: Option<BTreeSet<String>>,
    names: BTreeMap<Arc<str>, Name>,
    connections: u64,
}

/// A name that has a listener, or had one.
struct Name {
    address: SocketAddr,
    /// The connections that were accepted, by all listeners in turn.
    accepts: u64,
    /// None if there is no listener.
    queue: Option<Queue>,
}

/// The connections that wait to be accepted.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<(u64, SimConnection)>,
    /// True if new clients are refused.
    pub(super) is_stopped: bool,
    pub(super) waker: Option<Waker>,
}

impl Network {
    pub(super) fn new(
        conditions: Arc<Conditions>,
        seed: u64,
        only: Option<BTreeSet<String>>,
    ) -> Self {
        Self {
            conditions,
            seed,
            only,
            names: BTreeMap::new(),
            connections: 0,
        }
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections
    }

    /// Returns true if this planned fault may happen.
    pub(super) fn permits(&self, fault: &Fault) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|only| only.contains(&fault.to_string()))
    }

    /// Opens a name, and returns its address.
    pub(super) fn listen(&mut self, name: &Arc<str>) -> io::Result<SocketAddr> {
        // 10.0.0.1 is the first name.
        let next =
            u32::from(Ipv4Addr::new(10, 0, 0, 1)) + u32::try_from(self.names.len()).unwrap_or(0);
        let address = SocketAddr::from((Ipv4Addr::from(next), 7));
        let name = self.names.entry(name.clone()).or_insert(Name {
            address,
            accepts: 0,
            queue: None,
        });
        if name.queue.is_some() {
            return Err(ErrorKind::AddrInUse.into());
        }
        name.queue = Some(Queue::default());
        Ok(name.address)
    }

    pub(super) fn queue(&mut self, name: &str) -> Option<&mut Queue> {
        self.names.get_mut(name)?.queue.as_mut()
    }

    /// Returns the number of the next accept of a name.
    pub(super) fn next_accept(&self, name: &str) -> u64 {
        1 + self.names.get(name).map_or(0, |name| name.accepts)
    }

    /// Takes the first connection that waits.
    pub(super) fn accept(&mut self, name: &str) -> Option<SimConnection> {
        let name = self.names.get_mut(name)?;
        let (number, connection) = name.queue.as_mut()?.waiting.pop_front()?;
        name.accepts += 1;
        self.conditions.trace.add(Event::Accepted(number));
        Some(connection)
    }

    /// Closes a name. The connections that were not accepted are reset.
    pub(super) fn close(&mut self, name: &str) -> Vec<SimConnection> {
        let queue = self.names.get_mut(name).and_then(|name| name.queue.take());
        let waiting = queue.into_iter().flat_map(|queue| queue.waiting);
        waiting.map(|(_, connection)| connection).collect()
    }

    /// Begins a connection. Returns its number.
    pub(super) fn begin(&mut self, name: &Arc<str>) -> (u64, Plan) {
        self.connections += 1;
        let number = self.connections;
        self.conditions.trace.add(Event::Connecting {
            connection: number,
            to: name.clone(),
        });
        let mut plan = Plan::new(&self.conditions.faults, self.seed, number);
        plan.retain(number, |fault| self.permits(fault));
        (number, plan)
    }

    /// Makes the two ends of a connection, and puts the server's end into the queue.
    pub(super) fn connect(
        &mut self,
        name: &str,
        source: IpAddr,
        (number, plan): (u64, Plan),
    ) -> io::Result<(SimConnection, Option<Waker>)> {
        let conditions = self.conditions.clone();
        if plan.is_refused {
            conditions
                .trace
                .add_fault(Fault::Refused { connection: number });
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let name = self.names.get_mut(name);
        let open = name.and_then(|name| Some((name.address, name.queue.as_mut()?)));
        let Some((address, queue)) = open.filter(|(_, queue)| !queue.is_stopped) else {
            return Err(ErrorKind::ConnectionRefused.into());
        };
        let port = 1024 + u16::try_from(number % 60_000).unwrap_or_default();
        let ends = [SocketAddr::new(source, port), address].map(Endpoint::Inet);
        let [client, server] = end::pair(number, plan, &conditions, ends);
        queue.waiting.push_back((number, server));
        Ok((client, queue.waker.take()))
    }
}
