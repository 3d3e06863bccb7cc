//! Measures one figure: a new server, warmed up, under one load.

use crate::cores::Cores;
use crate::histogram::Histogram;
use crate::load::{self, Blocked, Broadcast, Bulk, Close, Exchange, Limit, Ping, Sample};
use crate::rows::{BLOCKED_TIME, BULK_MESSAGE_BYTES, Load, MESSAGE_BYTES, Row};
use crate::running::Running;
use crate::servers::Server;
use crate::usage::{self, Cpu};
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// The settings of all measurements.
pub struct Bench<'a> {
    pub cores: &'a Cores,
    /// The duration of one measurement.
    pub duration: Duration,
    /// The folder for the standard error of the servers.
    pub logs: &'a Path,
}

impl Bench<'_> {
    /// Returns one value for each column of the row.
    ///
    /// Every measurement starts a new server, so that the heap of an earlier load and one memory
    /// layout do not affect all rounds.
    pub fn measure(&self, server: &Server, row: &Row) -> io::Result<Vec<f64>> {
        let running = self.start(server, row)?;
        let (place, quantiles) = (&running.place, row.quantiles());
        match row.load {
            Load::Echo { connections } => {
                let ping = Ping::open(place, connections, MESSAGE_BYTES)?;
                self.rates(&running, ping, 1.0, quantiles)
            }
            Load::Bulk => {
                let bulk = Bulk::open(place, BULK_MESSAGE_BYTES)?;
                self.rates(&running, bulk, BULK_MESSAGE_BYTES as f64 / 1e6, quantiles)
            }
            Load::Close => self.rates(&running, Close::new(place, MESSAGE_BYTES)?, 1.0, quantiles),
            Load::Idle { connections } => idle(&running, connections),
            Load::Broadcast { clients, under_way } => {
                let broadcast = Broadcast::open(place, clients, under_way)?;
                self.rates(&running, broadcast, 1.0, quantiles)
            }
            Load::Skewed { connections } => {
                self.skewed(Ping::skewed(place, connections, MESSAGE_BYTES)?)
            }
            Load::Blocked { connections } => blocked(&running, connections),
        }
    }

    /// Starts the server on as many cores as the row has threads, then pins the client as the row
    /// requires.
    ///
    /// Children inherit the cores of the thread that starts them.
    pub fn start(&self, server: &Server, row: &Row) -> io::Result<Running> {
        let log = self.logs.join(format!("{}.log", server.name));
        let place = server.place(self.logs)?;
        let arguments = server.arguments(row, &place);
        self.cores.pin(row.threads)?;
        let running = Running::start(&server.program, &arguments, place, server.service, &log);
        self.cores.pin(match row.client_free {
            true => self.cores.count(),
            false => 1,
        })?;
        running
    }

    /// Measures CPU per operation, operations per second times `unit`, and latencies.
    fn rates(
        &self,
        running: &Running,
        mut load: impl load::Load,
        unit: f64,
        quantiles: &[f64],
    ) -> io::Result<Vec<f64>> {
        load.run(Limit::time(self.duration.mul_f64(WARM_UP)))?;
        thread::sleep(SETTLE);
        let before = Cpu::of(running.pid())?;
        let sample = load.run(Limit::time(self.duration))?;
        thread::sleep(SETTLE);
        let cpu = Cpu::of(running.pid())?.since(&before);
        let Sample {
            operations,
            elapsed,
            latencies,
        } = sample;
        let operations = operations as f64;
        let mut figures = vec![
            microseconds(cpu) / operations,
            operations * unit / elapsed.as_secs_f64(),
        ];
        let latency = |&share: &f64| microseconds(latencies.quantile(share));
        figures.extend(quantiles.iter().map(latency));
        Ok(figures)
    }

    /// Measures messages per second, heavy ones per second, and two latencies of light ones.
    fn skewed(&self, mut load: impl load::Load) -> io::Result<Vec<f64>> {
        load.run(Limit::time(self.duration.mul_f64(WARM_UP)))?;
        thread::sleep(SETTLE);
        let sample = load.run(Limit::time(self.duration))?;
        let seconds = sample.elapsed.as_secs_f64();
        let heavy = sample.operations - sample.latencies.count();
        Ok(vec![
            sample.operations as f64 / seconds,
            heavy as f64 / seconds,
            microseconds(sample.latencies.quantile(0.5)),
            microseconds(sample.latencies.quantile(0.99)),
        ])
    }
}

/// Measures the worst latency in milliseconds while a handler blocks, the median, and echoes in a
/// blocked second.
fn blocked(running: &Running, connections: usize) -> io::Result<Vec<f64>> {
    let mut load = Blocked::open(&running.place, connections, MESSAGE_BYTES)?;
    let mut latencies = Histogram::default();
    for turn in 0..BLOCKERS {
        thread::sleep(SETTLE);
        let blocker = turn * BLOCKERS_APART % connections;
        load.run(blocker, BLOCKED_TIME, &mut latencies)?;
    }
    let blocked = BLOCKED_TIME.as_secs_f64() * BLOCKERS as f64;
    Ok(vec![
        microseconds(latencies.quantile(1.0)) / 1e3,
        microseconds(latencies.quantile(0.5)),
        latencies.count() as f64 / blocked,
    ])
}

/// Measures private memory and CPU per connection.
fn idle(running: &Running, connections: usize) -> io::Result<Vec<f64>> {
    thread::sleep(SETTLE_MEMORY);
    let cpu = Cpu::of(running.pid())?;
    let bytes = usage::private_bytes(running.pid())?;
    let _open = load::open(&running.place, connections, &Exchange::new(MESSAGE_BYTES))?;
    thread::sleep(SETTLE_MEMORY);
    let grown = usage::private_bytes(running.pid())?.saturating_sub(bytes);
    let cpu = Cpu::of(running.pid())?.since(&cpu);
    Ok(vec![
        grown as f64 / connections as f64,
        microseconds(cpu) / connections as f64,
    ])
}

pub fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The duration of the warm-up, as a share of the measurement.
pub const WARM_UP: f64 = 0.1;
/// Time for the server to go to sleep, so that its CPU time no longer grows.
pub const SETTLE: Duration = Duration::from_millis(2);
/// The number of connections that block in a measurement, one after another.
const BLOCKERS: usize = 5;
/// The distance between these. It is odd, to reach both threads of a server that distributes
/// connections in turn.
const BLOCKERS_APART: usize = 7;
/// Time for the memory of the server to settle.
const SETTLE_MEMORY: Duration = Duration::from_millis(100);
