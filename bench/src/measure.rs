//! Measures one figure: a new server, warmed up, under one load.

use crate::cores::Cores;
use crate::histogram::Histogram;
use crate::load::{
    self, ANSWER_TIMEOUT, Blocked, Broadcast, Bulk, Close, Exchange, Handshake, Limit, Ping, Sample,
};
use crate::rows::{self, BLOCKED_TIME, BULK_MESSAGE_BYTES, Layer, MESSAGE_BYTES, Row, Service};
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
        let place = &running.place;
        match row.load {
            rows::Load::Idle { connections } => idle(&running, connections),
            rows::Load::Burst { connections } => burst(&running, connections),
            rows::Load::Skewed { connections } => {
                self.skewed(Ping::skewed(place, connections, MESSAGE_BYTES)?)
            }
            rows::Load::Blocked { connections } => blocked(&running, connections),
            _ => self.rates(&running, server, row),
        }
    }

    /// Starts the server on as many cores as the row has threads, then pins the client as the row
    /// requires.
    ///
    /// Children inherit the cores of the thread that starts them.
    pub fn start(&self, server: &Server, row: &Row) -> io::Result<Running> {
        self.cores.pin(row.threads)?;
        let running = Running::start(server, row, &[], self.logs);
        self.cores.pin(match row.client_free {
            true => self.cores.count(),
            false => 1,
        })?;
        running
    }

    /// Measures CPU per operation, operations per second, and latencies.
    fn rates(&self, running: &Running, server: &Server, row: &Row) -> io::Result<Vec<f64>> {
        let mut load = open(running, server, row)?;
        load.run(Limit::time(self.duration.mul_f64(WARM_UP)))?;
        thread::sleep(SETTLE);
        let before = cpu(running, row)?;
        let sample = load.run(Limit::time(self.duration))?;
        thread::sleep(SETTLE);
        let cpu = cpu(running, row)?.since(&before);
        let Sample {
            operations,
            elapsed,
            latencies,
        } = sample;
        let mut figures = vec![
            microseconds(cpu) / operations as f64,
            operations as f64 / elapsed.as_secs_f64(),
        ];
        if let rows::Load::Bulk = row.load {
            let megabytes = BULK_MESSAGE_BYTES as f64 / 1e6;
            figures[1] *= megabytes;
            if row.counts_gigabytes() {
                // Microseconds per megabyte are milliseconds per gigabyte.
                figures[0] /= megabytes;
            }
        }
        let latency = |&share: &f64| microseconds(latencies.quantile(share));
        figures.extend(row.quantiles().iter().map(latency));
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

/// Returns the CPU time of a server, with that of its children if they do its work.
fn cpu(running: &Running, row: &Row) -> io::Result<Cpu> {
    match row.service {
        Service::Exec => Cpu::with_children(running.pid()),
        _ => Cpu::of(running.pid()),
    }
}

/// Opens the connections of a row that has rates.
pub fn open<'a>(
    running: &'a Running,
    server: &Server,
    row: &Row,
) -> io::Result<Box<dyn load::Load + 'a>> {
    let place = &running.place;
    Ok(match row.load {
        rows::Load::Echo { connections } => {
            Box::new(Ping::open(place, connections, MESSAGE_BYTES)?)
        }
        rows::Load::Bulk if server.layer == Layer::Tls => {
            Box::new(Bulk::open(BULK_MESSAGE_BYTES, || running.connect_tls())?)
        }
        rows::Load::Bulk => Box::new(Bulk::open(BULK_MESSAGE_BYTES, || {
            place.connect(ANSWER_TIMEOUT)
        })?),
        rows::Load::Close => {
            let exchange = match server.layer {
                Layer::Proxy => Exchange::after_proxy_header(MESSAGE_BYTES),
                _ => Exchange::new(MESSAGE_BYTES),
            };
            Box::new(Close::new(place, exchange)?)
        }
        rows::Load::Handshake { resumes } => {
            let client = running.client()?;
            Box::new(Handshake::new(place, client, resumes, MESSAGE_BYTES)?)
        }
        rows::Load::Broadcast { clients, under_way } => {
            Box::new(Broadcast::open(place, clients, under_way)?)
        }
        _ => return Err(io::Error::other(format!("{} has no rates", row.name))),
    })
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
    let start = Usage::of(running)?;
    let exchange = Exchange::new(MESSAGE_BYTES);
    let connect = || running.place.connect(ANSWER_TIMEOUT);
    let _open = load::open(connections, &exchange, connect)?;
    let (bytes, cpu) = start.growth(running, connections)?;
    Ok(vec![bytes, cpu])
}

/// Measures private memory per TLS connection, before and after a large echo on each; then CPU per
/// connection and for a large echo.
fn burst(running: &Running, connections: usize) -> io::Result<Vec<f64>> {
    let start = Usage::of(running)?;
    let exchange = Exchange::new(MESSAGE_BYTES);
    let mut streams = load::open(connections, &exchange, || running.connect_tls())?;
    let (bytes, cpu) = start.growth(running, connections)?;
    let burst = Exchange::new(BULK_MESSAGE_BYTES);
    let mut buffer = vec![0; BULK_MESSAGE_BYTES];
    for stream in &mut streams {
        burst.perform(stream, &mut buffer)?;
    }
    let (bytes_after, cpu_after) = start.growth(running, connections)?;
    Ok(vec![bytes, bytes_after, cpu, cpu_after - cpu])
}

/// The memory and CPU time of a server at one time.
struct Usage {
    bytes: u64,
    cpu: Cpu,
}

impl Usage {
    fn of(running: &Running) -> io::Result<Usage> {
        thread::sleep(SETTLE_MEMORY);
        Ok(Usage {
            bytes: usage::private_bytes(running.pid())?,
            cpu: Cpu::of(running.pid())?,
        })
    }

    /// Returns the growth since then, in bytes and in microseconds per connection.
    fn growth(&self, running: &Running, connections: usize) -> io::Result<(f64, f64)> {
        let now = Usage::of(running)?;
        let bytes = now.bytes.saturating_sub(self.bytes) as f64;
        let cpu = microseconds(now.cpu.since(&self.cpu));
        Ok((bytes / connections as f64, cpu / connections as f64))
    }
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
