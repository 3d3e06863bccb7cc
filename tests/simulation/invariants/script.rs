//! A script: one or two servers, their clients, and their ends.

use std::future::Future;
use std::io;
use std::time::Duration;

use futures_lite::future;
use halves::listener::merge;
use halves::testing::Sim;
use halves::{Connection, Report, Server, Shutdown, Spawn};

use super::Network;
use super::clients::client;
use super::door::Door;
use super::endings::Ending;
use super::handlers::serve;
use super::ledger::{Ledger, PRECISION};
use super::orders::orders;
use super::settings::{Allowed, SourceLimits, Times, millis, one_of};

/// The time in which all clients and tasks end after the servers: longer than the patience of clients
/// and the sleeps of handlers.
const MAX_TIME_AFTER: Duration = Duration::from_secs(400);

/// The executor of a server, which may drop tasks in the middle.
#[derive(Clone)]
struct Tasks {
    sim: Sim,
    drops: bool,
}

/// A server with its clients.
struct Site {
    sim: Sim,
    ledger: Ledger,
    server: Server,
    doors: [Door; 2],
    tasks: Tasks,
    ending: Ending,
    /// The delay of the drain, and its deadline.
    times: [Duration; 2],
    shutdown: Shutdown,
}

/// Returns the name of a listener of a server.
fn name(server: usize, door: usize) -> String {
    format!("server {server}, door {door}")
}

pub(crate) async fn script(sim: Sim, network: Network) -> io::Result<()> {
    let sites = if one_of(&sim, 4) { 2 } else { 1 };
    let (sender, ended) = smol::channel::unbounded();
    let mut ledgers = Vec::new();
    for site in 0..sites {
        let site = Site::new(&sim, network, site)?;
        ledgers.push(site.ledger.clone());
        let sender = sender.clone();
        let run = async move {
            let ledger = site.ledger.clone();
            let report = site.run().await;
            let _ = sender.send((ledger, report)).await;
        };
        sim.spawn(run);
    }
    let mut reports = Vec::new();
    for _ in 0..sites {
        reports.push(ended.recv().await.expect("a site"));
    }
    let all_gone = async {
        while sim.tasks() > 0 {
            sim.clock().sleep(Duration::from_secs(5)).await;
        }
    };
    let gone = sim.clock().timeout(MAX_TIME_AFTER, all_gone).await;
    for (ledger, report) in reports {
        ledger.handle().wait_closed().await;
        ledger.settle(report?);
    }
    ledgers.iter().try_for_each(Ledger::check)?;
    gone.map_err(|_| io::Error::other(format!("{} tasks are left", sim.tasks())))
}

impl Site {
    fn new(sim: &Sim, network: Network, number: usize) -> io::Result<Self> {
        let ledger = Ledger::new(sim, network);
        let delay = if one_of(sim, 3) {
            millis(sim, 0..3000)
        } else {
            Duration::ZERO
        };
        let times = [delay, millis(sim, 0..25_000)];
        let shutdown = Shutdown::default();
        let server = server(sim, &ledger)
            .drain_delay(times[0])
            .drain_timeout(times[1])
            .shutdown(shutdown.clone());
        ledger.set_handle(server.handle());
        let observer = ledger.clone();
        let door = |index| Door::random(sim, &ledger, &name(number, index), index);
        Ok(Self {
            doors: [door(0)?, door(1)?],
            tasks: Tasks {
                sim: sim.clone(),
                drops: one_of(sim, 10),
            },
            ending: Ending::random(sim),
            times,
            sim: sim.clone(),
            server: server.on_event(move |event| observer.observe(event)),
            ledger,
            shutdown,
        }
        .with_clients(number))
    }

    fn with_clients(self, number: usize) -> Self {
        for _ in 0..self.sim.random(1..8) {
            let door = usize::from(one_of(&self.sim, 3));
            let (sim, ledger) = (self.sim.clone(), self.ledger.clone());
            self.sim
                .spawn(client(sim, ledger, door, name(number, door)));
        }
        self.sim
            .spawn(orders(self.sim.clone(), self.ledger.clone()));
        self
    }

    /// Runs the server until its end, and returns its report unless it was dropped.
    async fn run(self) -> io::Result<Option<Report>> {
        let Self {
            sim,
            ledger,
            server,
            doors: [a, b],
            tasks,
            ending,
            times,
            shutdown,
        } = self;
        if tasks.drops {
            ledger.drops_tasks();
        }
        let handler = {
            let (sim, ledger) = (sim.clone(), ledger.clone());
            move |connection: Connection| serve(sim, ledger, connection)
        };
        let served = server.serve(tasks, merge(a, b), handler);
        let open_time = if one_of(&sim, 4) { 80_000 } else { 6000 };
        let open_time = millis(&sim, 0..open_time);
        if ending == Ending::Early {
            shutdown.drain();
        }
        let end = async {
            if ending != Ending::Early {
                sim.clock().sleep(open_time).await;
            }
            let began = sim.clock().now();
            let longest = ending.ask(&sim, &ledger, &shutdown, times).await;
            if ending == Ending::Dropped {
                return;
            }
            let left = (began + longest).saturating_duration_since(sim.clock().now());
            sim.clock().sleep(left + PRECISION).await;
            ledger.fail(format!(
                "{ending:?} was to end the server within {longest:?}"
            ));
            future::pending::<()>().await;
        };
        let served = async { Some(served.await) };
        let dropped = async {
            end.await;
            None
        };
        let report = future::or(served, dropped).await.transpose();
        ledger.stop_accepting();
        report
    }
}

/// Returns a server with random limits.
fn server(sim: &Sim, ledger: &Ledger) -> Server {
    let times = if one_of(sim, 2) {
        Times::default()
    } else {
        Times::random(sim)
    };
    let max = usize::try_from(sim.random(1..6)).expect("a small number");
    let mut server = Server::default()
        .clock(sim.clock().clone())
        .seed(sim.seed())
        .max_connections(max)
        .timeouts(times.timeouts());
    ledger.set_max(max);
    ledger.set_times(times);
    if one_of(sim, 3) {
        let limits = SourceLimits::random(sim);
        ledger.set_sources(limits);
        server = server.sources(limits.sources());
    }
    if one_of(sim, 3) {
        let allowed = Allowed::random(sim);
        ledger.set_allowed(allowed);
        server = server.rules(allowed.rules());
    }
    server
}

impl<F: Future<Output = ()> + 'static> Spawn<F> for Tasks {
    fn spawn_detached(&self, task: F) {
        if self.drops && one_of(&self.sim, 3) {
            let life = self.sim.clock().sleep(millis(&self.sim, 0..5000));
            let dropped = async move {
                life.await;
            };
            self.sim.spawn(future::or(task, dropped));
        } else {
            self.sim.spawn(task);
        }
    }
}
