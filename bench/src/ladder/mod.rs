//! The ladder measured: each step of examples/ladder, and its counterparts in Python, at 1, 50 and 1,000 connections.

mod plot;
mod steps;
mod table;

use crate::compare::rounds;
use crate::cores::{self, Cores};
use crate::load::{Limit, Load, Ping};
use crate::measure::{Bench, SETTLE, WARM_UP, microseconds};
use crate::options::Options;
use crate::rows::{self, MESSAGE, Row};
use crate::servers::Server;
use crate::stats::median;
use crate::usage::{Tree, living};
use std::fs;
use std::io;
use std::process;
use std::thread;
use std::time::{Duration, Instant};
use steps::Step;

/// Prints the table, and draws it.
pub fn run(options: &Options) -> io::Result<()> {
    if cfg!(debug_assertions) {
        return Err(io::Error::other(
            "figures of a debug build mislead; add --release",
        ));
    }
    cores::raise_descriptor_limit()?;
    let cores = Cores::detect()?;
    let (steps, skipped) = steps::prepare()?;
    let logs = std::env::current_exe()?.with_file_name("halves-bench-ladder");
    fs::create_dir_all(&logs)?;
    let bench = Bench {
        cores: &cores,
        duration: options.duration,
        logs: &logs,
    };
    let mut results: Vec<Climb> = steps.iter().map(Climb::new).collect();
    for (load, row) in LOADS.iter().enumerate() {
        if row.threads <= cores.count() {
            climb(&bench, options.rounds, load, row, &mut results);
        }
    }
    println!("{}", table::table(options, &results));
    for skipped in skipped {
        println!("Skipped: {skipped}\n");
    }
    if let Some(folder) = options.plot.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&options.plot, plot::svg(&results))?;
    eprintln!("drawn in {}", options.plot.display());
    Ok(())
}

/// What one step came to.
struct Climb<'a> {
    step: &'a Step,
    /// By the order of `LOADS`.
    results: [Outcome; LOADS.len()],
}

/// What a step came to under one load.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Measured(Figures),
    /// The step is not made for it.
    OneAtATime,
    Failed(String),
    /// There are not enough cores for it.
    NotTried,
}

/// Medians of the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figures {
    /// On one core, of the time that server and client had of it: what others took is left out, and neither
    /// waits while the other does nothing. On two, by the clock on the wall.
    echoes_per_second: f64,
    p99_us: f64,
    bytes_per_connection: f64,
    threads: f64,
    processes: f64,
}

impl<'a> Climb<'a> {
    fn new(step: &'a Step) -> Climb<'a> {
        Climb {
            step,
            results: [const { Outcome::NotTried }; LOADS.len()],
        }
    }
}

/// Every step that can bear the load, in rounds.
fn climb(bench: &Bench, count: usize, load: usize, row: &Row, climbs: &mut [Climb]) {
    let connections = connections(row);
    let able = |climb: &&mut Climb| climb.step.one_at_a_time && connections > 1;
    for climb in climbs.iter_mut().filter(able) {
        climb.results[load] = Outcome::OneAtATime;
    }
    let mut climbs: Vec<&mut Climb> = climbs
        .iter_mut()
        .filter(|climb| climb.results[load] == Outcome::NotTried)
        .collect();
    let servers: Vec<&Server> = climbs.iter().map(|climb| &climb.step.server).collect();
    let entries = rounds(row.name, count, &servers, |server| {
        measure(bench, server, row)
    });
    for (climb, entry) in climbs.iter_mut().zip(entries) {
        let middle = |index| median(&entry.column(index)).unwrap_or(f64::NAN);
        climb.results[load] = match entry.failure {
            Some(reason) => Outcome::Failed(reason),
            None => Outcome::Measured(Figures {
                echoes_per_second: middle(0),
                p99_us: middle(1),
                bytes_per_connection: middle(2),
                threads: middle(3),
                processes: middle(4),
            }),
        };
    }
}

/// The fields of `Figures`, in their order.
fn measure(bench: &Bench, server: &Server, row: &Row) -> io::Result<Vec<f64>> {
    let running = bench.start(server, row)?;
    let before = alone(running.pid())?;
    let mut ping = Ping::open(&running.place, connections(row), MESSAGE)?;
    let open = Tree::of(running.pid());
    ping.run(Limit::time(bench.duration.mul_f64(WARM_UP)))?;
    let used = || {
        thread::sleep(SETTLE);
        io::Result::Ok(Tree::of(running.pid()).cpu + living(process::id())?)
    };
    let earlier = used()?;
    let sample = ping.run(Limit::time(bench.duration))?;
    let on_one_core = used()?.saturating_sub(earlier);
    drop(ping);
    // Processes that still end would disturb whoever is next.
    alone(running.pid())?;
    let grown = open.private_bytes.saturating_sub(before.private_bytes);
    let time = match row.threads {
        1 => on_one_core,
        _ => sample.elapsed,
    };
    Ok(vec![
        sample.operations as f64 / time.as_secs_f64(),
        microseconds(sample.latencies.quantile(0.99)),
        grown as f64 / connections(row) as f64,
        open.threads as f64,
        open.processes as f64,
    ])
}

/// What a server is when the processes of its connections are gone.
fn alone(pid: u32) -> io::Result<Tree> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let tree = Tree::of(pid);
        if tree.processes == 1 {
            return Ok(tree);
        }
        if Instant::now() > deadline {
            return Err(io::Error::other("its processes do not end"));
        }
        thread::sleep(PAUSE);
    }
}

fn connections(row: &Row) -> usize {
    match row.load {
        rows::Load::Echo { connections } => connections,
        _ => unreachable!("the ladder only echoes"),
    }
}

/// One core, which the client shares, but for the last.
const LOADS: [Row; 4] = [
    rows::echo("ladder-1", "1 connection", 1),
    rows::echo("ladder-50", "50 connections", 50),
    rows::echo("ladder-1000", "1,000 connections", 1000),
    Row {
        threads: 2,
        ..rows::echo("ladder-50-cores", "50 connections, two cores", 50)
    },
];
/// The one in which what a connection takes is seen.
const MOST: usize = 2;

const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);
