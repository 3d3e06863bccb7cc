//! Counts user-space instructions an operation, a figure that the load of the machine does not
//! change.

use crate::cores::{self, Cores};
use crate::load::Limit;
use crate::measure;
use crate::options::Options;
use crate::prepare::{self, Field};
use crate::rows::{self, Load, Row};
use crate::running::Running;
use crate::servers::Server;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Prints one table for each row, by default for 50 connections.
pub fn run(options: &Options) -> io::Result<()> {
    let mut only = options.only.clone();
    if only.is_empty() {
        only = prepare::COUNTED.map(String::from).to_vec();
        only.extend(options.extra.iter().map(|(name, _)| name.clone()));
    }
    if !has_valgrind() {
        println!("Skipped: instructions: valgrind is missing");
        return Ok(());
    }
    let rows = match options.rows.is_empty() {
        true => rows::select(&["echo-50".into()]),
        false => rows::select(&options.rows),
    };
    let rows = rows.map_err(io::Error::other)?;
    cores::raise_descriptor_limit()?;
    let cores = Cores::detect()?;
    let field = Field::prepare(options, &only)?;
    cores.pin(1)?;
    for row in &rows {
        println!("## {}: {}\n", row.name, row.title);
        println!("| server | user-space instructions an operation |\n|---|--:|");
        for server in field.servers.iter().filter(|server| server.takes_part(row)) {
            match per_operation(server, row, &field.folder) {
                Ok(count) => println!("| {} | {count:.0} |", server.name),
                Err(error) => println!("| {} | not counted: {error} |", server.name),
            }
        }
        println!();
    }
    for skipped in &field.skipped {
        println!("Skipped: {skipped}\n");
    }
    Ok(())
}

fn has_valgrind() -> bool {
    let mut version = Command::new("valgrind");
    version.arg("--version").stdout(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// Counts two runs that differ only in the number of operations, so the cost of start and end
/// cancels out.
fn per_operation(server: &Server, row: &Row, folder: &Path) -> io::Result<f64> {
    let operations = operations(row)?;
    let short = count(server, row, operations, folder)?;
    let long = count(server, row, 2 * operations, folder)?;
    Ok((long as f64 - short as f64) / operations as f64)
}

/// Returns the number of operations of the shorter run.
fn operations(row: &Row) -> io::Result<u64> {
    match row.load {
        Load::Echo { .. } => Ok(10_000),
        Load::Close => Ok(2000),
        Load::Bulk | Load::Handshake { .. } => Ok(500),
        _ => Err(io::Error::other("this row has no single operation")),
    }
}

fn count(server: &Server, row: &Row, operations: u64, folder: &Path) -> io::Result<u64> {
    let name = &server.name;
    eprintln!(
        "{} {name} under valgrind, {operations} operations",
        row.name
    );
    let running = Running::start(server, row, &VALGRIND, folder)?;
    let mut load = measure::open(&running, server, row)?;
    run_in_lockstep(&mut *load, row, operations)?;
    drop(load);
    collected(&running.terminate()?).ok_or_else(|| io::Error::other("valgrind gave no count"))
}

/// Sends on all connections, then waits for all answers.
///
/// Valgrind slows the server down many times. A client that sent the next message at once would
/// always be ahead, and no read of the server would find an empty socket, as most do at full speed.
fn run_in_lockstep(load: &mut dyn crate::load::Load, row: &Row, operations: u64) -> io::Result<()> {
    let step = match row.load {
        Load::Echo { connections } => connections as u64,
        _ => 1,
    };
    let deadline = Instant::now() + RUN_TIMEOUT;
    for _ in 0..operations / step {
        if Instant::now() > deadline {
            return Err(io::Error::other("the run takes longer than 60 s"));
        }
        load.run(Limit::operations(step))?;
    }
    Ok(())
}

/// Parses the count of a line such as `==77== Collected : 123456`.
fn collected(log: &str) -> Option<u64> {
    let (_, count) = log.rsplit_once("Collected :")?;
    count.split_whitespace().next()?.parse().ok()
}

const VALGRIND: [&str; 3] = [
    "valgrind",
    "--tool=callgrind",
    "--callgrind-out-file=/dev/null",
];
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_count_is_taken() {
        let log = "==7== Events    : Ir\n==7== Collected : 123456\n==7== \n";
        assert_eq!(collected(log), Some(123_456));
        assert_eq!(collected("==7== nothing"), None);
    }
}
