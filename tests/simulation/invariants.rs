//! The invariants of a server, with random clients and faults.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::service::echo;
use halves::testing::{Faults, Sim, Simulation};
use halves::{Connection, Reason, Timeouts};

/// The seeds of the usual run.
const SEEDS: u64 = 2_000;
/// The environment variable with another number of seeds, such as 1000000 for a night.
const SEEDS_VARIABLE: &str = "HALVES_SIMULATIONS";
/// The most connections of the server.
const MAX_CONNECTIONS: usize = 3;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// One script: a server with random limits, clients that misbehave, and a drain in the middle.
async fn script(sim: Sim) -> io::Result<()> {
    let running = Rc::new(Cell::new(0));
    let handler = {
        let running = running.clone();
        async move |Connection { reader, writer, .. }: Connection<_, _>| {
            running.set(running.get() + 1);
            assert!(running.get() <= MAX_CONNECTIONS, "the limit is exceeded");
            let _one = Running(running);
            echo(reader, writer).await
        }
    };
    let server = sim
        .server()
        .max_connections(MAX_CONNECTIONS)
        .timeouts(Timeouts::default().idle(Duration::from_secs(sim.random(1..60))))
        .drain_timeout(DRAIN_TIMEOUT);
    let handle = server.handle();
    let (report, ended) = smol::channel::bounded(1);
    let serving = server.serve(sim.clone(), sim.listen("server")?, handler);
    sim.spawn(async move { report.send(serving.await).await });
    let clients = sim.random(1..6);
    for _ in 0..clients {
        sim.spawn(client(sim.clone()));
    }
    sim.clock()
        .sleep(Duration::from_millis(sim.random(0..5000)))
        .await;
    let drain_began = sim.clock().now();
    handle.shutdown().drain();
    let report = ended.recv().await.expect("it ends")?;
    // The deadline, and the time in which tasks drop what was aborted.
    let took = sim.clock().now() - drain_began;
    assert!(took <= DRAIN_TIMEOUT + Duration::from_secs(1), "{took:?}");
    let stats = handle.stats();
    assert_eq!(stats.open, 0);
    assert_eq!(stats.accepted, stats.ended.total(), "one reason each");
    assert_eq!(report.stats, stats);
    assert_eq!(stats.ended[Reason::Panic], 0);
    assert_eq!(running.get(), 0, "no handler is left");
    assert!(handle.connections().is_empty());
    Ok(())
}

/// Counts a handler while it runs.
struct Running(Rc<Cell<usize>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Sends a random message and compares the answer. A whole answer is one with an end.
async fn client(sim: Sim) {
    sim.clock()
        .sleep(Duration::from_millis(sim.random(0..3000)))
        .await;
    let Ok(mut client) = sim.connect("server").await else {
        return;
    };
    let length = usize::try_from(sim.random(0..4000)).expect("it is short");
    let sent: Vec<u8> = (0..=250).cycle().take(length).collect();
    let stops_early = sim.random(0..4) == 0;
    let mut got = Vec::new();
    let write = async {
        client.writer.write_all(&sent).await?;
        if stops_early {
            // Keeps the connection idle.
            sim.clock()
                .sleep(Duration::from_secs(sim.random(0..100)))
                .await;
        }
        client.writer.close().await
    };
    let read = client.reader.read_to_end(&mut got);
    let timeout = Duration::from_secs(200);
    let _ = sim
        .clock()
        .timeout(timeout, futures_lite::future::zip(write, read))
        .await;
    assert!(
        sent.starts_with(&got),
        "the answer is not a part of the message"
    );
}

fn seeds() -> u64 {
    let given = std::env::var(SEEDS_VARIABLE).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(SEEDS)
}

#[test]
fn a_server_keeps_its_invariants() {
    let faults = Faults::all();
    Simulation::builder()
        .seeds(0..seeds())
        .faults(faults)
        .run(script);
}
