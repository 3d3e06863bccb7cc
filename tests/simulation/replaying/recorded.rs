//! Records of simulated connections, replayed.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::Connection;
use halves::testing::{Faults, Record, Recording, Replay, Sim, Simulation, record};

use super::{Acting, upper};
use crate::support::seed::seeds;

/// A handler with an answer that does not depend on the pieces of the input.
type Boxed = fn(Connection) -> Acting;

const HANDLERS: [Boxed; 3] = [
    |c| Box::pin(upper(c)),
    |c| Box::pin(greet(c)),
    |c| Box::pin(half(c)),
];

/// Greets each line, and leaves at a word.
async fn greet(mut client: Connection) -> io::Result<()> {
    client.writer.write_all(b"your name?\n").await?;
    while let Some(name) = client.reader.line().await? {
        let answer = [b"hello ", &*name].concat();
        client.writer.write_all(&answer).await?;
        if name.starts_with(b"q") {
            return client.writer.close().await;
        }
    }
    Ok(())
}

/// Ends its output first, and reads on.
async fn half(mut client: Connection) -> io::Result<()> {
    client.writer.write_all(b"only this\n").await?;
    client.writer.close().await?;
    client.reader.read_to_end(&mut Vec::new()).await.map(drop)
}

/// Sends random lines with pauses, and leaves in a random way. Faults may stop it.
async fn client(sim: &Sim) -> io::Result<()> {
    let Connection {
        mut reader,
        mut writer,
        peer,
        ..
    } = sim.connect("server").await?;
    let send = async {
        for _ in 0..sim.random(0..5) {
            sim.clock()
                .sleep(Duration::from_millis(sim.random(0..2000)))
                .await;
            let letter = b"aqx"[usize::try_from(sim.random(0..3)).expect("small")];
            let mut line = vec![letter; usize::try_from(sim.random(0..300)).expect("small")];
            line.push(b'\n');
            writer.write_all(&line).await?;
        }
        if sim.random(0..4) == 0 {
            peer.abort();
        }
        writer.close().await
    };
    let mut answer = Vec::new();
    let (sent, received) = future::zip(send, reader.read_to_end(&mut answer)).await;
    sent.and(received.map(drop))
}

/// Returns the record of a connection with this seed.
fn recorded(seed: u64, faults: Faults, handler: Boxed) -> Record {
    let kept: Rc<RefCell<Option<Recording>>> = Rc::default();
    Simulation::builder().seed(seed).faults(faults).run(|sim| {
        let kept = kept.clone();
        async move {
            let recording = move |connection: Connection<_, _>| {
                let (connection, recording) = record(connection);
                kept.replace(Some(recording));
                handler(connection.erase())
            };
            let server = sim.serve("server", recording)?;
            // An error is that of a fault.
            let _ = client(&sim).await;
            server.shutdown().drain();
            server.wait_closed().await;
            Ok(())
        }
    });
    let recording = kept.take().expect("a connection");
    recording.record()
}

#[test]
fn the_record_of_a_handler_is_its_answer_again() {
    let lossy = Faults::default().resets(0.1).ends(0.1).offsets(0..600);
    for seed in seeds(20) {
        for faults in [Faults::default(), lossy.clone()] {
            for handler in HANDLERS {
                let record = recorded(seed, faults.clone(), handler);
                let record: Record = record.to_string().parse().expect("a record");
                let replay = Replay::new(record.clone());
                let check = |replay: Replay| {
                    if let Err(failure) = replay.try_run(handler) {
                        panic!("HALVES_SEED={seed}\n{record}{failure}");
                    }
                };
                check(replay.clone());
                check(replay.clone().faults(Faults::default()).seeds(0..2));
                check(replay.faults(Faults::all().ends(0.0)).seeds(0..2));
            }
        }
    }
}
