//! One server, and clients with scripts.

use std::time::Instant;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::Connection;
use halves::service::echo;
use halves::testing::{Faults, Sim, Simulation};

async fn clients(sim: Sim, clients: u64) -> std::io::Result<()> {
    let handler = async |Connection { reader, writer, .. }| echo(reader, writer).await;
    let server = sim.serve("server", handler)?;
    for _ in 0..clients {
        let Ok(mut client) = sim.connect("server").await else {
            continue;
        };
        let bytes: Vec<u8> = (0..1024_u32).map(|n| n as u8).collect();
        let mut answer = vec![0; bytes.len()];
        let write = async {
            client.writer.write_all(&bytes).await?;
            client.writer.close().await
        };
        let read = client.reader.read_exact(&mut answer);
        let done = futures_lite::future::try_zip(write, read).await;
        if done.is_ok() {
            assert!(answer == bytes);
        }
    }
    server.shutdown().drain();
    server.wait_closed().await;
    Ok(())
}

#[test]
fn speed() {
    let begin = Instant::now();
    let summary = Simulation::builder()
        .try_run(|sim| clients(sim, 100))
        .expect("no failure");
    println!("{summary:?} {:?}", begin.elapsed());
    let summary = Simulation::builder()
        .faults(Faults::all().vanishings(0.0))
        .try_run(|sim| clients(sim, 100))
        .unwrap_or_else(|f| panic!("{f}"));
    println!("{summary:?} {:?}", begin.elapsed());
}
