//! `Sim`: one run of a simulation, for its test.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::listener::SimListener;
use super::run::Run;
use super::trace::Event as TraceEvent;
use super::wire::latency;
use crate::connection::Connection;
use crate::reason::Reason;
use crate::server::{Event, Handle, Handler, Server};
use crate::spawn::Spawn;
use crate::time::Clock;

/// The address of clients without one.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// One run of a [`Simulation`](super::Simulation): its tasks, its clock and its network. Clones are the same run. It is
/// an executor for [`Server::serve`].
///
/// # Examples
///
/// See [`Simulation`](super::Simulation).
#[derive(Clone)]
pub struct Sim(pub(super) Rc<Run>);

impl Sim {
    /// Returns the seed of this run.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::Simulation;
    ///
    /// Simulation::builder().seed(7).run(|sim| async move {
    ///     assert_eq!(sim.seed(), 7);
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// Returns a random number of this range, from the seed.
    ///
    /// # Panics
    ///
    /// If the range is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::Simulation;
    ///
    /// Simulation::builder().run(|sim| async move {
    ///     assert!(sim.random(1..7) < 7);
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn random(&self, range: Range<u64>) -> u64 {
        self.0.rng.borrow_mut().u64(range)
    }

    /// Returns the clock of this run. It jumps to the next deadline when every task waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::Simulation;
    /// use std::time::Duration;
    ///
    /// Simulation::builder().run(|sim| async move {
    ///     let before = sim.clock().now();
    ///     sim.clock().sleep(Duration::from_secs(3600)).await;
    ///     assert_eq!(sim.clock().now() - before, Duration::from_secs(3600));
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Spawns a task. Its result is lost: an error has to be a panic, or to be passed to the test.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::Simulation;
    ///
    /// Simulation::builder().run(|sim| async move {
    ///     let (sender, receiver) = smol::channel::bounded(1);
    ///     sim.spawn(async move { sender.send(7).await });
    ///     assert_eq!(receiver.recv().await, Ok(7));
    ///     Ok(())
    /// });
    /// ```
    pub fn spawn<T>(&self, future: impl Future<Output = T> + 'static) {
        self.0.scheduler.spawn(async move { drop(future.await) });
    }

    /// Returns the number of spawned tasks that have not ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::Simulation;
    ///
    /// Simulation::builder().run(|sim| async move {
    ///     assert_eq!(sim.tasks(), 0);
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.0.scheduler.unfinished()
    }

    /// Adds a line to the trace.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::Simulation;
    ///
    /// let simulation = Simulation::builder().seed(7).keep_trace();
    /// let summary = simulation.try_run(|sim| async move {
    ///     sim.note("here");
    ///     Ok(())
    /// })?;
    /// assert!(summary.trace.ends_with("here\n"));
    /// # Ok::<(), halves::testing::Failure>(())
    /// ```
    pub fn note(&self, text: impl Into<String>) {
        self.0.trace.add(TraceEvent::Note(text.into()));
    }

    /// Returns a server with the clock and the seed of this run. Its events are in the trace, and the
    /// run fails if a handler panics.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::Simulation;
    /// use std::time::Duration;
    ///
    /// Simulation::builder().run(|sim| async move {
    ///     let server = sim.server().drain_timeout(Duration::from_secs(5));
    ///     # drop(server);
    ///     Ok(())
    /// });
    /// ```
    pub fn server(&self) -> Server {
        let trace = self.0.trace.clone();
        Server::default()
            .clock(self.0.clock.clone())
            .seed(self.0.seed)
            .on_event(move |event| {
                if let Event::Closed(closed) = event
                    && closed.reason == Reason::Panic
                {
                    let message = closed.error.as_ref().map(ToString::to_string);
                    trace.fail(format!(
                        "a handler panicked: {}",
                        message.unwrap_or_default()
                    ));
                }
                trace.add(TraceEvent::Note(describe(event)));
            })
    }

    /// Listens on a name.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if the name has a listener.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::Simulation;
    ///
    /// Simulation::builder().run(|sim| async move {
    ///     let listener = sim.listen("server")?;
    ///     assert!(sim.listen("server").is_err());
    ///     drop(listener);
    ///     sim.listen("server").map(drop)
    /// });
    /// ```
    pub fn listen(&self, name: &str) -> io::Result<SimListener> {
        SimListener::new(name.into(), self.0.network.clone())
    }

    /// Serves a name with the default settings, and returns the handle of its server. The run fails
    /// if the server does.
    ///
    /// # Errors
    ///
    /// Those of [`listen`](Self::listen).
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::service::echo;
    /// use halves::testing::Simulation;
    /// use halves::Connection;
    ///
    /// Simulation::builder().run(|sim| async move {
    ///     let echo = async |Connection { reader, writer, .. }| echo(reader, writer).await;
    ///     let server = sim.serve("server", echo)?;
    ///     sim.connect("server").await?;
    ///     server.shutdown().drain();
    ///     server.wait_closed().await;
    ///     Ok(())
    /// });
    /// ```
    pub fn serve<H, F>(&self, name: &str, handler: H) -> io::Result<Handle>
    where
        H: Handler<Connection<super::SimReader, super::SimWriter>, F> + 'static,
        F: Future<Output = io::Result<()>> + 'static,
    {
        let (server, listener) = (self.server(), self.listen(name)?);
        let (handle, trace, sim) = (server.handle(), self.0.trace.clone(), self.clone());
        self.spawn(async move {
            if let Err(error) = server.serve(sim, listener, handler).await {
                trace.fail(format!("a server failed: {error}"));
            }
        });
        Ok(handle)
    }

    /// Connects to a name from 192.0.2.1. Takes the latency of the network.
    ///
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if the name has no listener, or by a
    /// fault.
    ///
    /// # Examples
    ///
    /// See [`Simulation`](super::Simulation).
    pub async fn connect(&self, name: &str) -> io::Result<Connection> {
        self.connect_from(CLIENT, name).await
    }

    /// As [`connect`](Self::connect), from another address, for limits per source and rules.
    ///
    /// # Errors
    ///
    /// Those of `connect`.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::Simulation;
    ///
    /// Simulation::builder().run(|sim| async move {
    ///     let listener = sim.listen("server")?;
    ///     let client = sim.connect_from([192, 0, 2, 9], "server").await?;
    ///     assert!(client.peer.local().to_string().starts_with("192.0.2.9:"));
    ///     # drop(listener);
    ///     Ok(())
    /// });
    /// ```
    pub async fn connect_from(
        &self,
        source: impl Into<IpAddr>,
        name: &str,
    ) -> io::Result<Connection> {
        let network = &self.0.network;
        let begun = network.borrow_mut().begin(&name.into());
        self.delay().await;
        let connected = network.borrow_mut().connect(name, source.into(), begun);
        let (client, listening) = connected?;
        listening.into_iter().for_each(Waker::wake);
        self.delay().await;
        Ok(client.erase())
    }

    /// Returns true if bytes or an end were lost by a fault.
    pub(in crate::testing) fn has_lost(&self) -> bool {
        self.0.trace.has_lost()
    }

    /// Waits for the time that a packet takes.
    async fn delay(&self) {
        let time = {
            let network = self.0.network.borrow();
            latency(&mut self.0.rng.borrow_mut(), &network.conditions.faults)
        };
        if time > Duration::ZERO {
            self.0.clock.sleep(time).await;
        }
    }
}

impl<F: Future<Output = ()> + 'static> Spawn<F> for Sim {
    fn spawn_detached(&self, task: F) {
        self.0.scheduler.spawn(task);
    }
}

/// Returns the trace of an event: its kind, and the connection.
fn describe(event: &Event) -> String {
    match event {
        Event::Closed(closed) => {
            let (id, reason) = (closed.peer.id(), closed.reason);
            format!("server: closed {id}, {reason}")
        }
        Event::Opened(peer) => format!("server: opened {}", peer.id()),
        Event::Refused { peer, reason, .. } => format!("server: refused {}, {reason}", peer.id()),
        other => format!("server: {other}"),
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("seed", &self.0.seed)
            .finish_non_exhaustive()
    }
}
