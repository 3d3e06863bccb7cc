//! Reads and writes of TLS that are dropped at random, beside a client with the sessions of rustls.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::Listener;
use halves::connection::{AnyRead, AnyWrite};
use halves::testing::{Faults, Sim, SimReader, SimWriter, Simulation, pattern};
use halves::tls::TlsConnection;

use super::random_ends;
use crate::seeds::{are_many, seeds};
use crate::support::tls_peer::TlsPeer;

/// The usual number of seeds.
const SEEDS: u64 = 12;
const MAX_BYTES: usize = 200_000;

type Client = TlsPeer<AnyRead, AnyWrite>;
type Served = TlsConnection<SimReader, SimWriter>;

/// A client with the buffered connection of rustls, and a server, after the handshake.
async fn connected(sim: &Sim) -> io::Result<(Client, Served)> {
    let ends = random_ends(sim);
    let mut listener = sim.listen("tls")?;
    let (client, server) = zip(sim.connect("tls"), listener.accept()).await;
    let mut client = ends.peer(client?);
    let accept = ends.acceptor.accept(server?.expect("one has connected"));
    let (shaken, server) = zip(client.shake_hands(), accept).await;
    shaken?;
    Ok((client, server?))
}

fn size(sim: &Sim, end: usize) -> usize {
    usize::try_from(sim.random(1..end as u64 + 1)).expect("it is small")
}

/// Waits for other tasks, so that a call may be dropped for a while.
async fn pause(sim: &Sim) {
    sim.clock()
        .sleep(Duration::from_micros(sim.random(1..1000)))
        .await;
}

/// Writes all bytes, by writes of which those that are not ready at once are dropped. Returns their
/// number.
async fn write_in_tries(sim: &Sim, server: &mut Served, bytes: &[u8]) -> io::Result<usize> {
    let (mut rest, mut dropped) = (bytes, 0);
    while !rest.is_empty() {
        let bytes = &rest[..size(sim, rest.len())];
        let (first, second) = bytes.split_at(size(sim, bytes.len()));
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        if let Some(written) = poll_once(server.writer.write_vectored(&slices)).await {
            rest = &rest[written?..];
        } else {
            dropped += 1;
            pause(sim).await;
        }
    }
    server.writer.flush().await?;
    Ok(dropped)
}

/// Reads all bytes, by reads of which those that are not ready at once are dropped.
async fn read_in_tries(sim: &Sim, server: &mut Served, len: usize) -> io::Result<(Vec<u8>, usize)> {
    let (mut received, mut dropped) = (Vec::new(), 0);
    while received.len() < len {
        let mut buf = vec![0; size(sim, 30_000)];
        if let Some(n) = poll_once(server.reader.read(&mut buf)).await {
            received.extend_from_slice(&buf[..n?]);
        } else {
            dropped += 1;
            pause(sim).await;
        }
    }
    Ok((received, dropped))
}

fn run(bound: usize, test: &impl AsyncFn(&Sim, Client, Served) -> io::Result<usize>) {
    let dropped = Cell::new(0);
    Simulation::builder()
        .seeds(seeds(SEEDS))
        .faults(
            Faults::default()
                .buffer(bound)
                .latency(Duration::ZERO..Duration::from_millis(1)),
        )
        .run(async |sim: Sim| {
            let (client, server) = connected(&sim).await?;
            dropped.set(dropped.get() + test(&sim, client, server).await?);
            Ok(())
        });
    assert!(dropped.get() > 0 || !are_many(), "no call was dropped");
}

#[test]
fn a_dropped_write_loses_no_bytes_and_doubles_none() {
    run(2000, &async |sim, mut client, mut server| {
        let sent = pattern(size(sim, MAX_BYTES));
        let mut received = vec![0; sent.len()];
        let write = write_in_tries(sim, &mut server, &sent);
        let (tries, read) = zip(write, client.read_exact(&mut received)).await;
        read?;
        assert!(received == sent);
        tries
    });
}

#[test]
fn a_dropped_read_loses_no_bytes() {
    run(700, &async |sim, mut client, mut server| {
        let sent = pattern(size(sim, MAX_BYTES));
        let read = read_in_tries(sim, &mut server, sent.len());
        let (written, received) = zip(client.write_all(&sent), read).await;
        written?;
        let (received, dropped) = received?;
        assert!(received == sent);
        Ok(dropped)
    });
}

/// The writer waits for other things after its last write, and another task reads.
#[test]
fn a_reader_in_another_task_sends_what_a_full_stream_has_left_of_a_write() {
    let simulation = Simulation::builder().seeds(seeds(SEEDS));
    let simulation = simulation.faults(Faults::default().buffer(100));
    simulation.run(async |sim: Sim| {
        let (mut client, server) = connected(&sim).await?;
        let (mut reader, mut writer) = (server.reader, server.writer);
        let sent = pattern(size(&sim, 10_000));
        let (bytes, (keep, kept)) = (sent.clone(), smol::channel::bounded::<()>(1));
        sim.spawn(async move {
            writer.write_all(&bytes).await.expect("the client reads");
            let _ = kept.recv().await;
            drop(writer);
        });
        let ask = async {
            let mut received = vec![0; sent.len()];
            client.read_exact(&mut received).await?;
            assert!(received == sent);
            client.write_all(b"word").await
        };
        let mut word = [0; 4];
        let (read, asked) = zip(reader.read_exact(&mut word), ask).await;
        read?;
        asked?;
        assert_eq!(&word, b"word");
        drop(keep);
        Ok(())
    });
}
