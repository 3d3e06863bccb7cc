//! A replay to a handler: a client and a server in a simulation.

use std::any::type_name;
use std::fmt::Write;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{DEFAULT_TIMEOUT, Replay};
use crate::connection::Connection;
use crate::server::Handler;
use crate::testing::record::Recorded;
use crate::testing::simulation::paste;
use crate::testing::{Failure, Sim, SimReader, SimWriter, Simulation, Summary};

/// The longest run beyond the time of the record.
const TIME_LIMIT: Duration = Duration::from_hours(24);
/// The name of the server.
const SERVER: &str = "server";

impl Replay {
    /// Runs the handler once for each seed.
    pub(super) fn run_simulated<H, F>(&self, handler: &H) -> Result<Summary, Failure>
    where
        H: Handler<Connection, F> + 'static,
        F: Future<Output = io::Result<()>> + 'static,
    {
        let simulation = self.simulation();
        let run = simulation.try_run(|sim| self.run_once(sim, handler.clone()));
        run.map_err(|mut failure| {
            failure.test = self.source(type_name::<H>(), failure.seed, &failure.faults);
            failure
        })
    }

    fn simulation(&self) -> Simulation {
        let recorded = self.record.events.last().map_or(Duration::ZERO, |it| it.at);
        let simulation = self.simulation.clone();
        let simulation = simulation.time_limit(recorded.saturating_add(TIME_LIMIT));
        if self.has_faults || simulation.has_seeds() {
            simulation
        } else {
            simulation.seed(0)
        }
    }

    /// One run of the simulation.
    async fn run_once<H, F>(&self, sim: Sim, handler: H) -> io::Result<()>
    where
        H: Handler<Connection, F> + 'static,
        F: Future<Output = io::Result<()>> + 'static,
    {
        let erased = move |c: Connection<SimReader, SimWriter>| handler(c.erase());
        let server = sim.serve(SERVER, erased)?;
        let connected = match self.client() {
            Some(client) => sim.connect_from(client, SERVER).await,
            None => sim.connect(SERVER).await,
        };
        let connection = match connected {
            // A fault: the name has a listener.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(()),
            connected => connected?,
        };
        match self.play(connection, sim.clock()).await {
            Err(difference) if !(sim.has_lost() && difference.is_prefix()) => {
                return Err(difference.into());
            }
            _ => {}
        }
        // Behind a cut, the handler has more to do than the record has.
        let last = self.record.events.last();
        if last.is_some_and(|event| event.what == Recorded::Closed) {
            server.shutdown().drain();
            server.wait_closed().await;
        }
        Ok(())
    }

    /// Returns the source of a test that repeats a failure of a handler with this type.
    fn source(&self, type_name: &str, seed: u64, faults: &[String]) -> String {
        let mut replay = match &self.path {
            Some(path) => format!("replay({:?}).unwrap()", path.to_string_lossy()),
            None => "Replay::new(record)".to_owned(),
        };
        if self.timeout != DEFAULT_TIMEOUT {
            let timeout = paste::duration(self.timeout);
            let _ = write!(replay, ".timeout({timeout})");
        }
        match self.pace {
            1.0 => {}
            f64::INFINITY => replay.push_str(".pace(f64::INFINITY)"),
            pace => {
                let _ = write!(replay, ".pace({pace:?})");
            }
        }
        paste::source(&replay, type_name, &self.simulation, seed, faults)
    }

    /// Returns the recorded address of the client, if it has one.
    fn client(&self) -> Option<IpAddr> {
        let client = self.record.client.parse::<SocketAddr>();
        client.ok().map(|client| client.ip())
    }
}
