//! Measures the ladder: each step of examples/ladder, and two servers in Python, at 1, 50 and 1,000
//! connections.

mod plot;
mod steps;
mod table;

use crate::compare::rounds;
use crate::cores::{self, Cores};
use crate::load::{Limit, Load, Ping};
use crate::measure::{Bench, SETTLE, WARM_UP, microseconds};
use crate::options::Options;
use crate::rows::{self, MESSAGE_BYTES, Row};
use crate::servers::Server;
use crate::stats::median;
use crate::usage::{Tree, living};
use std::fs;
use std::io;
use std::process;
use std::thread;
use std::time::{Duration, Instant};
use steps::Step;

/// Measures all steps, prints the table and draws the picture.
pub fn run(options: &Options) -> io::Result<()> {
    if cfg!(debug_assertions) {
        return Err(io::Error::other(
            "this is a debug build, which gives wrong figures; add --release",
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
    let mut results: Vec<StepResult> = steps.iter().map(StepResult::new).collect();
    for (load, row) in LOADS.iter().enumerate() {
        if row.threads <= cores.count() {
            measure_load(&bench, options.rounds, load, row, &mut results);
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

/// The outcomes of one step.
struct StepResult<'a> {
    step: &'a Step,
    /// In the order of `LOADS`.
    outcomes: [Outcome; LOADS.len()],
}

/// The outcome of a step under one load.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Measured(Figures),
    /// The step serves one connection at a time, and the load has more.
    OneAtATime,
    Failed(String),
    /// The machine has too few cores.
    NotTried,
}

/// Medians of the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Figures {
    /// On one core, per second of the CPU time of server and client, which excludes the time of
    /// other processes. On two cores, per second of wall-clock time.
    echoes_per_second: f64,
    p99_us: f64,
    bytes_per_connection: f64,
    threads: f64,
    processes: f64,
}

impl<'a> StepResult<'a> {
    fn new(step: &'a Step) -> StepResult<'a> {
        StepResult {
            step,
            outcomes: [const { Outcome::NotTried }; LOADS.len()],
        }
    }
}

/// Measures every step that can serve the load, in rounds.
fn measure_load(
    bench: &Bench,
    round_count: usize,
    load: usize,
    row: &Row,
    results: &mut [StepResult],
) {
    let connections = connections(row);
    let is_unable = |result: &&mut StepResult| result.step.one_at_a_time && connections > 1;
    for result in results.iter_mut().filter(is_unable) {
        result.outcomes[load] = Outcome::OneAtATime;
    }
    let mut results: Vec<&mut StepResult> = results
        .iter_mut()
        .filter(|result| result.outcomes[load] == Outcome::NotTried)
        .collect();
    let servers: Vec<&Server> = results.iter().map(|result| &result.step.server).collect();
    let entries = rounds(row.name, round_count, &servers, |server| {
        measure(bench, server, row)
    });
    for (result, entry) in results.iter_mut().zip(entries) {
        let middle = |index| median(&entry.column(index)).unwrap_or(f64::NAN);
        result.outcomes[load] = match entry.failure {
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

/// Measures the fields of `Figures`, in their order.
fn measure(bench: &Bench, server: &Server, row: &Row) -> io::Result<Vec<f64>> {
    let running = bench.start(server, row)?;
    let before = wait_for_one_process(running.pid())?;
    let mut ping = Ping::open(&running.place, connections(row), MESSAGE_BYTES)?;
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
    // Processes that are still exiting would disturb the next measurement.
    wait_for_one_process(running.pid())?;
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

/// Waits until the processes of all connections have exited, and returns the usage of the server.
fn wait_for_one_process(pid: u32) -> io::Result<Tree> {
    let deadline = Instant::now() + EXIT_TIMEOUT;
    loop {
        let tree = Tree::of(pid);
        if tree.processes == 1 {
            return Ok(tree);
        }
        if Instant::now() > deadline {
            return Err(io::Error::other(
                "the processes of its connections do not exit",
            ));
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn connections(row: &Row) -> usize {
    match row.load {
        rows::Load::Echo { connections } => connections,
        _ => unreachable!("the ladder only echoes"),
    }
}

/// The loads. Server and client share one core, except for the last.
const LOADS: [Row; 4] = [
    rows::echo("ladder-1", "1 connection", 1),
    rows::echo("ladder-50", "50 connections", 50),
    rows::echo("ladder-1000", "1,000 connections", 1000),
    Row {
        threads: 2,
        ..rows::echo("ladder-50-cores", "50 connections, two cores", 50)
    },
];
/// The index of the load with the most connections, which gives the memory of a connection.
const LARGEST_LOAD: usize = 2;

const EXIT_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
