//! A server in memory, on one thread, with a clock that the test moves. The test decides each step.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod network;
pub(crate) mod script;
pub(crate) mod sockets;

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::future;
use halves::connection::Phase;
use halves::listener::memory::{self, Connector, MemoryConnection};
use halves::time::ManualClock;
use halves::{Clock, Connection, Event, Handle, Listener, Report, Server, Shutdown};
use smol::{LocalExecutor, Task};

/// An executor of one thread, and a clock.
pub(crate) struct World {
    pub(crate) ex: Rc<LocalExecutor<'static>>,
    pub(crate) clock: Clock,
    pub(crate) manual: ManualClock,
}

/// A server of a [`World`].
pub(crate) struct Served {
    /// Dropping it drops the future of the server.
    pub(crate) serving: Task<io::Result<Report>>,
    pub(crate) handle: Handle,
    events: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub(crate) fn new() -> Self {
        let (clock, manual) = Clock::manual();
        let ex = Rc::new(LocalExecutor::new());
        Self { ex, clock, manual }
    }

    /// Runs every task until none can go on.
    pub(crate) fn settle(&self) {
        while self.ex.try_tick() {}
    }

    /// Settles, then lets time pass, then settles.
    pub(crate) fn pass(&self, time: Duration) {
        self.settle();
        self.manual.advance(time);
        self.settle();
    }

    /// The output of `future` if time need not pass for it. Panics if it waits for anything else.
    pub(crate) fn now<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        self.poll_now(future).expect("ready without time passing")
    }

    /// As [`now`](Self::now). Returns None if the future waits, and drops it.
    pub(crate) fn poll_now<T: 'static>(
        &self,
        future: impl Future<Output = T> + 'static,
    ) -> Option<T> {
        let task = self.ex.spawn(future);
        self.settle();
        future::block_on(future::poll_once(task))
    }

    /// Serves on this world's executor and clock. The handler need not be `Send`.
    pub(crate) fn serve<L, H, F>(&self, server: Server, listener: L, handler: H) -> Served
    where
        L: Listener + 'static,
        H: FnOnce(Connection<L::Reader, L::Writer>) -> F + Clone + 'static,
        F: Future<Output = io::Result<()>> + 'static,
    {
        let events = Arc::new(Mutex::new(Vec::new()));
        let reported = events.clone();
        let server = server.clock(self.clock.clone()).on_event(move |event| {
            reported.lock().expect("no panic").push(line(event));
        });
        let handle = server.handle();
        let serving = self
            .ex
            .spawn(server.serve(self.ex.clone(), listener, handler));
        self.settle();
        Served {
            serving,
            handle,
            events,
        }
    }

    /// As [`serve`](Self::serve), with clients in memory.
    pub(crate) fn serve_memory<H, F>(&self, server: Server, handler: H) -> (Served, Connector)
    where
        H: FnOnce(MemoryConnection) -> F + Clone + 'static,
        F: Future<Output = io::Result<()>> + 'static,
    {
        let (listener, connector) = memory::listener(1 << 16);
        (self.serve(server, listener, handler), connector)
    }

    pub(crate) fn connect(&self, connector: &Connector) -> MemoryConnection {
        let connector = connector.clone();
        let client = self.now(async move { connector.connect().await });
        client.expect("the server accepts")
    }

    /// The report of a server that has ended. Panics if it still runs.
    pub(crate) fn report(&self, served: Served) -> Report {
        self.now(served.serving).expect("no error of the listener")
    }
}

impl Served {
    /// The number of connections that are in their handlers.
    pub(crate) fn open(&self) -> usize {
        let connections = self.handle.connections();
        let phases = connections.iter().map(|connection| connection.phase);
        phases.filter(|&phase| phase == Phase::Open).count()
    }

    /// The events since the last call, without those of opened connections.
    pub(crate) fn events(&self) -> Vec<String> {
        let mut events = self.events.lock().expect("no panic");
        let mut taken = std::mem::take(&mut *events);
        taken.retain(|event| !event.starts_with("opened"));
        taken
    }
}

/// A server, and the shutdown that ends it.
pub(crate) fn server() -> (Server, Shutdown) {
    let shutdown = Shutdown::default();
    (Server::default().shutdown(shutdown.clone()), shutdown)
}

/// Counts how often its guards are dropped.
#[derive(Clone, Default)]
pub(crate) struct Drops(Rc<RefCell<usize>>);

pub(crate) struct OnDrop(Drops);

impl Drops {
    pub(crate) fn guard(&self) -> OnDrop {
        OnDrop(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        *self.0.borrow()
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        *self.0.0.borrow_mut() += 1;
    }
}

pub(crate) fn line(event: &Event) -> String {
    match event {
        Event::Opened(peer) => format!("opened {}", peer.id()),
        Event::Closed(closed) => match &closed.error {
            Some(error) => format!("closed {} {}: {error}", closed.peer.id(), closed.reason),
            None => format!("closed {} {}", closed.peer.id(), closed.reason),
        },
        Event::AcceptFailed(error) => format!("accept failed: {error}"),
        Event::Refused {
            peer,
            reason,
            error,
        } => match error {
            Some(error) => format!("refused {} {reason}: {error}", peer.id()),
            None => format!("refused {} {reason}", peer.id()),
        },
        Event::Suppressed {
            refused,
            accept_failed,
        } => format!("suppressed {refused} {accept_failed}"),
        Event::Delaying { delay } => format!("delaying {}s", delay.as_secs()),
        Event::LimitReached(limit) => format!("reached {limit}"),
        Event::LimitOver(limit) => format!("over {limit}"),
        Event::Draining {
            connections,
            deadline,
        } => format!("draining {connections} within {}s", deadline.as_secs()),
        Event::StillDraining { connections, left } => {
            format!("still {connections} for {}s", left.as_secs())
        }
        Event::Ended(report) => format!("ended {} {}", report.finished, report.aborted),
        other => format!("{other:?}"),
    }
}
