//! The same seed gives the same run: each time, in each thread, on every machine.

use std::io;
use std::thread;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::limits::Sources;
use halves::service::echo;
use halves::testing::{Faults, Sim, Simulation, Summary};
use halves::{Connection, Timeouts};

/// The seeds that are run twice.
const SEEDS: u64 = 1000;
/// The digest of their traces, on both paths of the reactor.
const DIGEST: &str = include_str!("digest.txt");

/// Three clients at once, each with a random message.
async fn clients(sim: Sim) -> io::Result<()> {
    let echo = async |Connection { reader, writer, .. }| echo(reader, writer).await;
    let server = sim.serve("server", echo)?;
    let client = || client(&sim, 1);
    future::zip(future::zip(client(), client()), client()).await;
    server.shutdown().drain();
    server.wait_closed().await;
    Ok(())
}

/// A server with limits of all kinds, and clients that reach them.
async fn limits(sim: Sim) -> io::Result<()> {
    let sources = Sources::default().max_connections(2).accept_rate(2);
    let second = Duration::from_secs(1);
    let timeouts = Timeouts::default().idle(second).lifetime(5 * second);
    let server = sim.server().max_connections(3).sources(sources);
    let server = server.timeouts(timeouts).drain_timeout(2 * second);
    let handle = server.handle();
    let echo = async |Connection { reader, writer, .. }| echo(reader, writer).await;
    sim.spawn(server.serve(sim.clone(), sim.listen("server")?, echo));
    for source in [1, 1, 1, 2, 2] {
        let sim = sim.clone();
        sim.clone().spawn(async move { client(&sim, source).await });
    }
    sim.clock().sleep(Duration::from_secs(4)).await;
    handle.shutdown().drain();
    handle.wait_closed().await;
    Ok(())
}

/// A client at this address, and its message.
async fn client(sim: &Sim, source: u8) {
    let Ok(mut client) = sim.connect_from([192, 0, 2, source], "server").await else {
        return;
    };
    let length = sim.random(1..3000);
    let sent = vec![b'x'; usize::try_from(length).expect("it is short")];
    let mut got = Vec::new();
    let write = async {
        client.writer.write_all(&sent).await?;
        client.writer.close().await
    };
    let exchange = future::zip(write, client.reader.read_to_end(&mut got));
    let _ = sim.clock().timeout(Duration::from_secs(30), exchange).await;
}

/// Runs a seed of one of the two scripts: an even one is that of `clients`.
fn run(seed: u64) -> Summary {
    let simulation = Simulation::builder().seed(seed);
    let simulation = simulation.faults(Faults::all()).keep_trace();
    let ran = match seed % 2 {
        0 => simulation.try_run(clients),
        _ => simulation.try_run(limits),
    };
    ran.expect("no failure")
}

/// Returns a hash of a trace: FNV-1a, which is the same on every machine.
fn hash(trace: &str) -> u64 {
    trace.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// Returns the digest of the hashes of all seeds, in the order of the seeds.
fn digest(mut hashes: Vec<(u64, u64)>) -> String {
    hashes.sort_unstable();
    let all = format!("{hashes:?}");
    format!("{:016x}\n", hash(&all))
}

#[test]
fn a_seed_gives_the_same_trace_each_time() {
    let mut hashes = Vec::new();
    for seed in 0..SEEDS {
        let (one, other) = (run(seed), run(seed));
        assert!(one.trace == other.trace, "seed {seed}");
        assert_eq!(one, other, "seed {seed}");
        hashes.push((seed, hash(&one.trace)));
    }
    let mut different: Vec<_> = hashes.iter().map(|(_, hash)| hash).collect();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), hashes.len(), "each seed is another run");
    let digest = digest(hashes);
    assert_eq!(
        digest,
        DIGEST,
        "the traces have changed; if that is meant: echo {} >tests/simulation/digest.txt",
        digest.trim()
    );
}

/// The threads run the seeds in opposite orders, so each has run other simulations before a seed.
#[test]
fn a_seed_gives_the_same_trace_in_two_threads_at_once() {
    let hashes = |seeds: &mut dyn Iterator<Item = u64>| -> Vec<_> {
        seeds.map(|seed| (seed, hash(&run(seed).trace))).collect()
    };
    thread::scope(|scope| {
        let forth = scope.spawn(|| hashes(&mut (0..SEEDS)));
        let back = scope.spawn(|| hashes(&mut (0..SEEDS).rev()));
        for thread in [forth, back] {
            assert_eq!(digest(thread.join().expect("no panic")), DIGEST);
        }
    });
}

/// An inner run has its own tasks, clock and random numbers.
#[test]
fn a_simulation_inside_another_one_does_not_change_it() {
    let simulation = Simulation::builder().seed(7).keep_trace();
    let inner = async |sim: Sim| {
        run(1);
        clients(sim).await
    };
    let (alone, around) = (simulation.try_run(clients), simulation.try_run(inner));
    assert_eq!(alone.expect("no failure"), around.expect("no failure"));
}
