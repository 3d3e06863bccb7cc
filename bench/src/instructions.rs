//! Counts user-space instructions an echo, a figure that the load of the machine does not change.

use crate::cores::{self, Cores};
use crate::load::{Limit, Load, Ping};
use crate::options::Options;
use crate::prepare::Field;
use crate::rows::{self, MESSAGE_BYTES, Row};
use crate::running::Running;
use crate::servers::Server;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Prints one line for each server.
pub fn run(options: &Options) -> io::Result<()> {
    let mut only = options.only.clone();
    if only.is_empty() {
        let extra = options.extra.iter().map(|(name, _)| name.clone());
        only = DEFAULT_SERVERS
            .map(String::from)
            .into_iter()
            .chain(extra)
            .collect();
    }
    if !has_valgrind() {
        println!("Skipped: instructions: valgrind is missing");
        return Ok(());
    }
    let row = rows::select(&["echo-50".into()]).map_err(io::Error::other)?[0];
    cores::raise_descriptor_limit()?;
    let cores = Cores::detect()?;
    let field = Field::prepare(options, &only)?;
    cores.pin(1)?;
    println!("| server | user-space instructions an echo, 50 connections |\n|---|--:|");
    for server in &field.servers {
        match per_echo(server, &row, &field.folder) {
            Ok(count) => println!("| {} | {count:.0} |", server.name),
            Err(error) => println!("| {} | not counted: {error} |", server.name),
        }
    }
    for skipped in &field.skipped {
        println!("\nSkipped: {skipped}");
    }
    Ok(())
}

fn has_valgrind() -> bool {
    let mut version = Command::new("valgrind");
    version.arg("--version").stdout(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// Counts two runs that differ only in the number of echoes, so the cost of start and end cancels
/// out.
fn per_echo(server: &Server, row: &Row, folder: &Path) -> io::Result<f64> {
    let short = count(server, row, ECHOES, folder)?;
    let long = count(server, row, 2 * ECHOES, folder)?;
    Ok((long as f64 - short as f64) / ECHOES as f64)
}

fn count(server: &Server, row: &Row, echoes: u64, folder: &Path) -> io::Result<u64> {
    eprintln!("{} under valgrind, {echoes} echoes", server.name);
    let log = folder.join(format!("{}.valgrind.log", server.name));
    let place = server.place(folder)?;
    let mut words = VALGRIND_OPTIONS.map(String::from).to_vec();
    words.push(server.program.display().to_string());
    words.extend(server.arguments(row, &place));
    let running = Running::start(Path::new("valgrind"), &words, place, server.service, &log)?;
    let mut ping = Ping::open(&running.place, CONNECTIONS, MESSAGE_BYTES)?;
    run_in_lockstep(&mut ping, echoes)?;
    drop(ping);
    running.terminate()?;
    collected(&fs::read_to_string(&log)?).ok_or_else(|| io::Error::other("valgrind gave no count"))
}

/// Sends on all connections, then waits for all answers.
///
/// Valgrind slows the server down many times. A client that sent the next message at once would
/// always be ahead, and no read of the server would find an empty socket, as most do at full speed.
fn run_in_lockstep(ping: &mut Ping, echoes: u64) -> io::Result<()> {
    let deadline = Instant::now() + RUN_TIMEOUT;
    for _ in 0..echoes / CONNECTIONS as u64 {
        if Instant::now() > deadline {
            return Err(io::Error::other("the run takes longer than 60 s"));
        }
        ping.run(Limit::operations(CONNECTIONS as u64))?;
    }
    Ok(())
}

/// Parses the count of a line such as `==77== Collected : 123456`.
fn collected(log: &str) -> Option<u64> {
    let (_, count) = log.rsplit_once("Collected :")?;
    count.split_whitespace().next()?.parse().ok()
}

const DEFAULT_SERVERS: [&str; 3] = ["halves", "tokio", "c-epoll"];
const VALGRIND_OPTIONS: [&str; 2] = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
const CONNECTIONS: usize = 50;
const ECHOES: u64 = 10_000;
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
