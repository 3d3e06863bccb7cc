//! The same seed gives the same run.

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::Connection;
use halves::service::echo;
use halves::testing::{Faults, Sim, Simulation};

/// The seeds that are run twice.
const SEEDS: u64 = 1000;

/// Three clients at once, each with a random message.
async fn clients(sim: Sim) -> std::io::Result<()> {
    let echo = async |Connection { reader, writer, .. }| echo(reader, writer).await;
    let server = sim.serve("server", echo)?;
    let client = async || {
        let Ok(mut client) = sim.connect("server").await else {
            return;
        };
        let length = sim.random(1..3000);
        let sent = vec![b'x'; usize::try_from(length).expect("it is short")];
        let mut got = Vec::new();
        let write = async {
            client.writer.write_all(&sent).await?;
            client.writer.close().await
        };
        let timeout = std::time::Duration::from_secs(30);
        let exchange = future::zip(write, client.reader.read_to_end(&mut got));
        let _ = sim.clock().timeout(timeout, exchange).await;
    };
    future::zip(future::zip(client(), client()), client()).await;
    server.shutdown().drain();
    server.wait_closed().await;
    Ok(())
}

#[test]
fn a_seed_gives_the_same_trace_each_time() {
    let mut different = 0;
    let mut last = String::new();
    for seed in 0..SEEDS {
        let simulation = Simulation::builder().seed(seed);
        let simulation = simulation.faults(Faults::all()).keep_trace();
        let run = || simulation.try_run(clients).expect("no failure");
        let (one, other) = (run(), run());
        assert!(one.trace == other.trace, "seed {seed}");
        assert_eq!(one, other, "seed {seed}");
        different += u64::from(one.trace != last);
        last = one.trace;
    }
    assert_eq!(different, SEEDS, "each seed is another run");
}

/// The begin of one trace, as on every machine.
#[test]
fn a_trace_is_the_same_on_every_machine() {
    let simulation = Simulation::builder().seed(7).keep_trace();
    let summary = simulation.try_run(clients).expect("no failure");
    let begin: Vec<_> = summary.trace.lines().take(6).collect();
    assert_eq!(
        begin,
        include_str!("seed_7.txt").lines().collect::<Vec<_>>()
    );
}
