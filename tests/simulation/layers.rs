//! Joined streams and buffered writers.

use std::io::{self, ErrorKind};
use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use halves::testing::{Faults, Sim, SimReader, SimWriter, Simulation};
use halves::{Connection, Listener, Peer};

use crate::exchange::{self, exchange};
use crate::seeds::seeds;

/// The usual number of seeds.
const SEEDS: u64 = 50;

/// Both ends of a connection.
async fn connected(sim: &Sim) -> io::Result<(Connection, Connection<SimReader, SimWriter>)> {
    let mut listener = sim.listen("server")?;
    let (client, server) = zip(sim.connect("server"), listener.accept()).await;
    Ok((client?, server?.expect("one has connected")))
}

#[test]
fn a_joined_stream_has_all_bytes_both_ways() {
    for faults in [Faults::default(), Faults::default().max_piece(3).buffer(64)] {
        let simulation = Simulation::builder().seeds(seeds(SEEDS)).faults(faults);
        simulation.run(async |sim: Sim| {
            let (mut client, server) = connected(&sim).await?;
            let mut server = Connection::from_stream(server.join(), Peer::default());
            let (up, down) = (exchange::bytes(&sim, 3000), exchange::bytes(&sim, 3000));
            let near = exchange(&sim, &mut client, up);
            let far = exchange(&sim, &mut server, down);
            let (near, far) = zip(near, far).await;
            near.check_from(Some(&far));
            far.check_from(Some(&near));
            assert!(near.is_whole() && far.is_whole());
            Ok(())
        });
    }
}

/// Any calls of a buffered writer in any order, each dropped at any wait: accepted bytes arrive once
/// and in order.
#[test]
fn a_buffered_writer_loses_nothing_when_calls_are_dropped() {
    for bound in [1, 2, 5, 9] {
        let faults = Faults::default().buffer(bound).max_piece(5);
        let simulation = Simulation::builder().seeds(seeds(SEEDS)).faults(faults);
        simulation.run(async |sim: Sim| {
            let (mut client, server) = connected(&sim).await?;
            let mut received = Vec::new();
            let read = exchange::read(&sim, &mut client.reader, &mut received);
            let (sent, read) = zip(write_buffered(&sim, server), read).await;
            read?;
            assert_eq!(received, sent?);
            Ok(())
        });
    }
}

async fn pause(sim: &Sim) {
    let pause = Duration::from_micros(sim.random(1..50_000));
    sim.clock().sleep(pause).await;
}

/// Makes random calls, and closes. Returns the bytes that the writer has accepted.
async fn write_buffered(
    sim: &Sim,
    server: Connection<SimReader, SimWriter>,
) -> io::Result<Vec<u8>> {
    let size = |end| usize::try_from(sim.random(0..end)).expect("it is small");
    let high = size(20);
    let low = size(high as u64 + 1);
    let mut writer = server.writer.buffered().water_marks(low, high);
    let mut sent = Vec::new();
    for _ in 0..100 {
        let piece = exchange::bytes(sim, 12);
        match sim.random(0..5) {
            0 | 1 => match writer.write(&piece) {
                Ok(()) => sent.extend(piece),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    assert!(writer.waiting() > high);
                }
            },
            2 => drop(poll_once(writer.ready()).await),
            3 => drop(poll_once(writer.flush()).await),
            _ => pause(sim).await,
        }
    }
    while poll_once(writer.close()).await.transpose()?.is_none() {
        pause(sim).await;
    }
    Ok(sent)
}
