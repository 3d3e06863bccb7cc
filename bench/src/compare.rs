//! The comparison: measures each row in rounds, with each server once a round.

use crate::cores::{self, Cores};
use crate::measure::Bench;
use crate::options::Options;
use crate::prepare::{self, CHATS, Field, HALVES, HALVES_LIB, RELAYS, TOKIO_RUSTLS};
use crate::report::{self, Entry};
use crate::rows::{self, Layer, Row, Service};
use crate::servers::Server;
use std::io;

/// Prints one table a row to standard output, progress to standard error.
pub fn run(options: &Options) -> io::Result<()> {
    if cfg!(debug_assertions) {
        return Err(io::Error::other(
            "this is a debug build, which gives wrong figures; add --release",
        ));
    }
    let rows = rows::select(&options.rows).map_err(io::Error::other)?;
    cores::raise_descriptor_limit()?;
    let cores = Cores::detect()?;
    let mut field = Field::prepare(options, &options.only)?;
    let bench = Bench {
        cores: &cores,
        duration: options.duration,
        logs: &field.folder,
    };
    println!("{}", report::preface(options));
    for row in &rows {
        if row.threads > cores.count() {
            let reason = format!("{}: needs {} cores", row.name, row.threads);
            field.skipped.push(reason);
            continue;
        }
        let servers: Vec<&Server> = field.servers.iter().filter(|s| s.takes_part(row)).collect();
        let entries = rounds(row.name, options.rounds, &servers, |server| {
            bench.measure(server, row)
        });
        println!("{}", report::table(row, &entries, &against(row, options)));
    }
    for skipped in &field.skipped {
        println!("Skipped: {skipped}\n");
    }
    Ok(())
}

/// Returns the reference servers for the ratios of a row.
fn against(row: &Row, options: &Options) -> Vec<String> {
    if let Some(runtime) = row.runtime {
        return vec![prepare::plain(runtime)];
    }
    let names: &[&str] = match row.service {
        Service::Chat => &CHATS,
        Service::Relay | Service::Exec if !options.against.is_empty() => {
            return options.against.clone();
        }
        Service::Relay => &RELAYS,
        Service::Exec => &["tcpserver"],
        Service::Upper if row.beside_unix => &[HALVES],
        Service::Upper if !options.against.is_empty() => return options.against.clone(),
        Service::Upper if row.layer == Layer::Tls => &[TOKIO_RUSTLS],
        Service::Upper if row.layer == Layer::Proxy => &[HALVES, HALVES_LIB],
        Service::Upper if row.has_work() => &["tokio-mt-nodelay", "go"],
        Service::Upper if row.threads > 1 => &["c-epoll-nodelay", "tokio-mt-nodelay"],
        Service::Upper => &["c-epoll", "tokio"],
    };
    names.iter().copied().map(String::from).collect()
}

/// Measures all servers in each round, so that noise affects all alike. Each round starts with
/// another server.
pub fn rounds(
    name: &str,
    rounds: usize,
    servers: &[&Server],
    mut measure: impl FnMut(&Server) -> io::Result<Vec<f64>>,
) -> Vec<Entry> {
    let mut entries: Vec<Entry> = servers.iter().map(|s| Entry::new(&s.name)).collect();
    for round in 0..rounds {
        for turn in 0..servers.len() {
            let index = (turn + round) % servers.len();
            let entry = &mut entries[index];
            if entry.failure.is_some() {
                continue;
            }
            eprintln!("{name} round {}/{rounds} {}", round + 1, entry.name);
            match measure(servers[index]) {
                Ok(figures) => entry.rounds.push(figures),
                Err(error) => entry.failure = Some(error.to_string()),
            }
        }
    }
    entries
}
