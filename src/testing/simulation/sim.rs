//! `Sim`: one run of a simulation, for its test.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fastrand::Rng;

use super::Simulation;
use super::listener::SimListener;
use super::network::Network;
use super::report::{Failure, Summary};
use super::scheduler::{Scheduler, Turn};
use super::trace::{Event as TraceEvent, Trace};
use super::wire::{Conditions, latency};
use crate::catch::catch_panic;
use crate::connection::Connection;
use crate::reason::Reason;
use crate::server::{Event, Handle, Handler, Server};
use crate::spawn::Spawn;
use crate::time::{Clock, ManualClock};

/// The address of clients without one.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// One run of a [`Simulation`]: its tasks, its clock and its network. Clones are the same run. It is
/// an executor for [`Server::serve`].
///
/// # Examples
///
/// See [`Simulation`].
#[derive(Clone)]
pub struct Sim(Rc<Run>);

struct Run {
    seed: u64,
    scheduler: Scheduler,
    clock: Clock,
    manual: ManualClock,
    network: Rc<RefCell<Network>>,
    trace: Trace,
    rng: RefCell<Rng>,
    polls: Cell<u64>,
}

/// Runs the test with one seed.
pub(super) fn run<F>(
    settings: &Simulation,
    seed: u64,
    test: &impl Fn(Sim) -> F,
) -> Result<Summary, Failure>
where
    F: Future<Output = io::Result<()>>,
{
    let sim = Sim::new(settings, seed);
    // A panic of the test may be that of `test` itself.
    let ended = catch_panic(|| {
        let mut main = pin!(test(sim.clone()));
        sim.drive(settings, main.as_mut())
    });
    let ended = ended.and_then(|ended| ended);
    let problem = ended.err().map(|error| error.to_string());
    // The drop of a task may panic, too.
    let cleared = catch_panic(|| sim.0.scheduler.clear());
    let problem = problem.or(cleared.err().map(|error| error.to_string()));
    let Run { trace, .. } = &*sim.0;
    match problem {
        None => Ok(Summary {
            runs: 1,
            connections: sim.0.network.borrow().connections(),
            polls: sim.0.polls.get(),
            faults: trace.faults().len() as u64,
            time: trace.elapsed(),
            trace: if settings.keeps_trace {
                trace.text()
            } else {
                String::new()
            },
        }),
        Some(problem) => Err(Failure {
            seed,
            time: trace.elapsed(),
            problem,
            faults: trace.faults(),
            trace: trace.text(),
        }),
    }
}

impl Sim {
    fn new(settings: &Simulation, seed: u64) -> Self {
        let (clock, manual) = Clock::manual();
        let mut rng = Rng::with_seed(seed);
        let trace = Trace::new(clock.clone(), settings.keeps_trace);
        let conditions = Arc::new(Conditions {
            faults: settings.faults.clone(),
            clock: clock.clone(),
            trace: trace.clone(),
        });
        let network = Network::new(conditions, seed, settings.only.clone());
        Self(Rc::new(Run {
            seed,
            scheduler: Scheduler::new(rng.u64(..)),
            clock,
            manual,
            network: Rc::new(RefCell::new(network)),
            trace,
            rng: RefCell::new(rng),
            polls: Cell::new(0),
        }))
    }

    /// Polls tasks, and moves the clock when all wait, until `main` has ended.
    fn drive(
        &self,
        settings: &Simulation,
        mut main: Pin<&mut impl Future<Output = io::Result<()>>>,
    ) -> io::Result<()> {
        let run = &*self.0;
        let waker = run.scheduler.main_waker();
        loop {
            match run.scheduler.next() {
                Some(Turn::Main) => {
                    run.trace.add(TraceEvent::Ran(0));
                    let polled = main.as_mut().poll(&mut Context::from_waker(&waker));
                    if let Poll::Ready(result) = polled {
                        return result.and_then(|()| self.check());
                    }
                }
                Some(Turn::Task(number)) => {
                    run.trace.add(TraceEvent::Ran(number + 1));
                    run.scheduler.poll(number);
                }
                None if run.manual.advance_to_next() => {}
                None => {
                    return Err(io::Error::other(
                        "every task waits, and no sleep is pending",
                    ));
                }
            }
            self.check()?;
            run.polls.set(run.polls.get() + 1);
            if run.polls.get() > settings.poll_limit {
                let limit = settings.poll_limit;
                return Err(io::Error::other(format!("not ended after {limit} polls")));
            }
            if run.trace.elapsed() > settings.time_limit {
                let limit = settings.time_limit;
                return Err(io::Error::other(format!("not ended after {limit:?}")));
            }
        }
    }

    /// Returns the problem that a server has reported.
    fn check(&self) -> io::Result<()> {
        self.0
            .trace
            .problem()
            .map_or(Ok(()), |problem| Err(io::Error::other(problem)))
    }

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
        SimListener::new(name.into(), self.0.network.clone(), self.0.seed)
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
    /// See [`Simulation`].
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
        other => format!("server: {other:?}"),
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("seed", &self.0.seed)
            .finish_non_exhaustive()
    }
}
