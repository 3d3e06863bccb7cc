//! Handshakes that are not finished: their deadline, a drain, a reset, and clients without TLS.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::testing::{Faults, Sim, Simulation};
use halves::tls::TlsConnection;
use halves::{Connection, Event, Handle, Reason, Timeouts};

use super::{both_ends, random_ends};
use crate::exchange;
use crate::serve::serve as serve_with;
use crate::support::tls_ends::Ends;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(7);

/// The reason and the age of each connection that has ended.
type Closed = Arc<Mutex<Vec<(Reason, Duration)>>>;

/// Serves TLS. The handler counts, and returns at the end of input.
fn serve(sim: &Sim, ends: &Ends) -> io::Result<(Handle, Closed)> {
    let closed = Closed::default();
    let record = closed.clone();
    let server = sim
        .server()
        .timeouts(Timeouts::default().handshake(HANDSHAKE_TIMEOUT));
    let server = server.on_event(move |event| {
        if let Event::Closed(closed) = event {
            let mut record = record.lock().expect("no panic");
            record.push((closed.reason, closed.age));
        }
    });
    let handler =
        async |mut c: TlsConnection<_, _>| c.reader.read_to_end(&mut Vec::new()).await.map(drop);
    let handler = ends.acceptor.wrap(handler);
    Ok((serve_with(sim, server, sim.listen("tls")?, handler), closed))
}

/// Returns the first bytes of a client.
fn hello(ends: &Ends) -> Vec<u8> {
    let mut hello = Vec::new();
    let mut peer = ends.peer(Connection::new(futures_lite::io::empty(), Vec::new()));
    while peer.session.wants_write() {
        peer.session.write_tls(&mut hello).expect("memory");
    }
    hello
}

async fn end(mut client: Connection) -> io::Result<()> {
    client.reader.read_to_end(&mut Vec::new()).await.map(drop)
}

/// A client sends a part of its first message, and nothing more.
#[test]
fn a_handshake_that_is_never_finished_ends_at_its_deadline() {
    for ends in both_ends() {
        let hello = hello(ends);
        for sent in (0..=hello.len()).step_by(17).chain([hello.len()]) {
            let simulation = Simulation::builder().seed(1).faults(Faults::none());
            simulation.run(async |sim: Sim| {
                let (server, closed) = serve(&sim, ends)?;
                let mut client = sim.connect("tls").await?;
                client.writer.write_all(&hello[..sent]).await?;
                end(client).await?;
                server.shutdown().drain();
                server.wait_closed().await;
                let closed = closed.lock().expect("no panic").clone();
                assert_eq!(
                    closed,
                    [(Reason::Handshake, HANDSHAKE_TIMEOUT)],
                    "{sent} bytes"
                );
                Ok(())
            });
        }
    }
}

/// The last byte of the first message arrives a moment before the deadline, or after it.
#[test]
fn a_slow_handshake_has_its_whole_time() {
    let moment = Duration::from_nanos(1);
    for ends in both_ends() {
        for (pause, is_in_time) in [
            (HANDSHAKE_TIMEOUT - moment, true),
            (HANDSHAKE_TIMEOUT + moment, false),
        ] {
            let simulation = Simulation::builder().seed(1).faults(Faults::none());
            simulation.run(async |sim: Sim| {
                let (server, closed) = serve(&sim, ends)?;
                let mut client = ends.peer(sim.connect("tls").await?);
                let mut hello = Vec::new();
                client.session.write_tls(&mut hello)?;
                let (last, first) = hello.split_last().expect("it is not empty");
                client.beneath.writer.write_all(first).await?;
                sim.clock().sleep(pause).await;
                let _ = client.beneath.writer.write_all(&[*last]).await;
                assert_eq!(client.shake_hands().await.is_ok(), is_in_time);
                drop(client);
                server.shutdown().drain();
                server.wait_closed().await;
                let reason = if is_in_time {
                    Reason::Truncated
                } else {
                    Reason::Handshake
                };
                assert_eq!(closed.lock().expect("no panic")[0].0, reason);
                Ok(())
            });
        }
    }
}

/// A drain ends a client that sends nothing, and lets a handshake finish that has begun.
#[test]
fn a_drain_in_the_middle_of_a_handshake_ends_it_or_lets_it_finish() {
    Simulation::builder().run(async |sim: Sim| {
        let ends = random_ends(&sim);
        let (server, closed) = serve(&sim, &ends)?;
        let silent = sim.connect("tls").await?;
        let client = sim.connect("tls").await?;
        let pause = Duration::from_millis(sim.random(0..300));
        let drain = async {
            sim.clock().sleep(pause).await;
            server.shutdown().drain();
        };
        let shake = async {
            let mut client = ends.connector.handshake(client, "localhost").await?;
            client.writer.write_all(b"hello").await?;
            client.writer.close().await?;
            client.reader.read_to_end(&mut Vec::new()).await
        };
        let (shaken, ()) = futures_lite::future::zip(shake, drain).await;
        end(silent).await?;
        server.wait_closed().await;
        let mut reasons: Vec<_> = closed
            .lock()
            .expect("no panic")
            .iter()
            .map(|closed| closed.0)
            .collect();
        reasons.sort_by_key(|reason| reason.as_str());
        let expected = match shaken {
            Ok(_) => [Reason::Drained, Reason::Eof],
            Err(_) => [Reason::Drained; 2],
        };
        assert_eq!(reasons, expected);
        Ok(())
    });
}

/// Any bytes in any pieces: the server ends each connection, with an alert or without one.
#[test]
fn clients_that_do_not_speak_tls_are_refused() {
    let faults = Faults::default().max_piece(64);
    Simulation::builder().faults(faults).run(async |sim: Sim| {
        let ends = random_ends(&sim);
        let (server, closed) = serve(&sim, &ends)?;
        let mut sent = exchange::bytes(&sim, 500);
        if sim.random(0..2) == 0 {
            // The beginning of a message, and a wrong rest.
            let hello = hello(&ends);
            let begin = usize::try_from(sim.random(0..hello.len() as u64)).expect("it is small");
            sent.splice(..0, hello[..begin].iter().copied());
        }
        let mut client = sim.connect("tls").await?;
        client.writer.write_all(&sent).await?;
        client.writer.close().await?;
        end(client).await?;
        server.shutdown().drain();
        server.wait_closed().await;
        let closed = closed.lock().expect("no panic").clone();
        assert_eq!(closed.len(), 1);
        assert_eq!(closed[0].0, Reason::Tls);
        Ok(())
    });
}
