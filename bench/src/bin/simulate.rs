//! Measures `testing::Simulation`, with its default settings, on one core:
//!
//!     cargo run --release -p halves-bench --bin simulate -- [--rounds 5] [--seeds 100]
//!         [--connections 100]
//!
//! Each run has an echo server and this number of connections. A client sends 1 KiB and the end, and
//! compares the answer. A second is one of CPU, so that other work on the machine changes little.

use std::error::Error;
use std::io;
use std::process;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::Connection;
use halves::service::echo;
use halves::testing::{Sim, Simulation};
use halves_bench::cores::Cores;
use halves_bench::stats::{median, spread};
use halves_bench::usage;
use lexopt::prelude::{Long, ValueExt};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The bytes that a client sends, and gets back.
const BYTES: usize = 1024;
fn main() -> Result<()> {
    let (mut rounds, mut seeds, mut connections) = (5, 100, 100);
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("rounds") => rounds = parser.value()?.parse()?,
            Long("seeds") => seeds = parser.value()?.parse()?,
            Long("connections") => connections = parser.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    Cores::detect()?.pin(1)?;
    println!("| connections | connections/s | spread | polls a connection | ns a poll |");
    println!("|---|---|---|---|---|");
    for (name, clients) in [("one after another", 1), ("all at once", connections)] {
        let mut rates = Vec::new();
        let mut polls = 0.0;
        for _ in 0..rounds {
            let before = usage::living(process::id())?;
            let simulation = Simulation::builder().seeds(0..seeds);
            let summary = simulation.try_run(|sim| exchange(sim, connections, clients))?;
            let cpu = usage::living(process::id())? - before;
            rates.push(summary.connections as f64 / cpu.as_secs_f64());
            polls = summary.polls as f64 / summary.connections as f64;
        }
        let rate = median(&rates).ok_or("--rounds is 0")?;
        let nanos = 1e9 / rate / polls;
        let percent = spread(&rates).unwrap_or_default() * 100.0;
        println!("| {name} | {rate:.0} | {percent:.0} % | {polls:.1} | {nanos:.0} |");
    }
    Ok(())
}

/// One run: each client makes its share of the connections.
async fn exchange(sim: Sim, connections: usize, clients: usize) -> io::Result<()> {
    let echo = async |Connection { reader, writer, .. }| echo(reader, writer).await;
    let server = sim.serve("server", echo)?;
    let (sender, ended) = smol::channel::bounded(clients);
    for _ in 0..clients {
        let (sim, sender) = (sim.clone(), sender.clone());
        sim.clone().spawn(async move {
            for _ in 0..connections / clients {
                client(&sim).await.expect("nothing is lost");
            }
            drop(sender);
        });
    }
    drop(sender);
    // The channel ends with the last client.
    let _: std::result::Result<(), _> = ended.recv().await;
    server.shutdown().drain();
    server.wait_closed().await;
    Ok(())
}

async fn client(sim: &Sim) -> io::Result<()> {
    let mut client = sim.connect("server").await?;
    let sent = [b'x'; BYTES];
    let mut got = Vec::with_capacity(BYTES);
    let write = async {
        client.writer.write_all(&sent).await?;
        client.writer.close().await
    };
    future::try_zip(write, client.reader.read_to_end(&mut got)).await?;
    match got == sent {
        true => Ok(()),
        false => Err(io::Error::other("another answer")),
    }
}
