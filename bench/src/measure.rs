//! One figure: a fresh server, warmed up, under one load.

use crate::cores::Cores;
use crate::load::{self, Broadcast, Bulk, Close, Exchange, Limit, Ping, Sample};
use crate::rows::{BULK_MESSAGE, Load, MESSAGE, Row};
use crate::running::Running;
use crate::servers::Server;
use crate::usage::{self, Cpu};
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How figures are taken.
pub struct Bench<'a> {
    pub cores: &'a Cores,
    /// How long a figure is measured.
    pub duration: Duration,
    /// Where servers' standard error goes.
    pub logs: &'a Path,
}

impl Bench<'_> {
    /// One value for each column of the row's load.
    ///
    /// Every figure has a server of its own: what an earlier load left in its heap is out of the way, and
    /// the luck of one memory layout does not decide all rounds.
    pub fn measure(&self, server: &Server, row: &Row) -> io::Result<Vec<f64>> {
        let running = self.start(server, row)?;
        match row.load {
            Load::Echo { connections } => {
                let ping = Ping::open(&running.place, connections, MESSAGE)?;
                Ok(self.rates(&running, ping, 1.0)?)
            }
            Load::Bulk => {
                let bulk = Bulk::open(&running.place, BULK_MESSAGE)?;
                Ok(self.rates(&running, bulk, BULK_MESSAGE as f64 / 1e6)?)
            }
            Load::Close => self.rates(&running, Close::new(&running.place, MESSAGE)?, 1.0),
            Load::Idle { connections } => idle(&running, connections),
            Load::Broadcast { clients, under_way } => {
                let broadcast = Broadcast::open(&running.place, clients, under_way)?;
                self.rates(&running, broadcast, 1.0)
            }
        }
    }

    /// Children inherit the cores of the thread that starts them.
    pub fn start(&self, server: &Server, row: &Row) -> io::Result<Running> {
        let log = self.logs.join(format!("{}.log", server.name));
        let place = server.place(self.logs)?;
        let arguments = server.arguments(row, &place);
        self.cores.pin(row.threads)?;
        let running = Running::start(&server.program, &arguments, place, server.service, &log);
        self.cores.pin(1)?;
        running
    }

    /// CPU per operation, operations per second times `unit`, and two latencies.
    fn rates(
        &self,
        running: &Running,
        mut load: impl load::Load,
        unit: f64,
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
        Ok(vec![
            microseconds(cpu) / operations,
            operations * unit / elapsed.as_secs_f64(),
            microseconds(latencies.quantile(0.5)),
            microseconds(latencies.quantile(0.99)),
        ])
    }
}

/// Private memory and CPU per connection.
fn idle(running: &Running, connections: usize) -> io::Result<Vec<f64>> {
    thread::sleep(SETTLE_MEMORY);
    let cpu = Cpu::of(running.pid())?;
    let bytes = usage::private_bytes(running.pid())?;
    let _open = load::open(&running.place, connections, &Exchange::new(MESSAGE))?;
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

/// The part of the measured time spent before measuring.
pub const WARM_UP: f64 = 0.1;
/// Lets the server go back to sleep, so that its clock stands still.
pub const SETTLE: Duration = Duration::from_millis(2);
const SETTLE_MEMORY: Duration = Duration::from_millis(100);
