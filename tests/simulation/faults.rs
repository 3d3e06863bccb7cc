//! Each fault of the network, as a client and a server see it.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::limits::Sources;
use halves::service::discard;
use halves::testing::{Faults, Sim, SimListener, Simulation};
use halves::{Connection, Listener, Reason, Timeouts};

const BYTES: &[u8] = &[7; 1000];

/// A client that sends bytes, and a server that reads up to the end or the error.
async fn received(sim: &Sim) -> io::Result<(Vec<u8>, Option<ErrorKind>)> {
    let mut listener = sim.listen("server")?;
    let accept = Listener::accept(&mut listener);
    let (mut client, server) = futures_lite::future::try_zip(sim.connect("server"), accept).await?;
    let mut server = server.expect("a connection");
    let send = async {
        client.writer.write_all(BYTES).await?;
        client.writer.close().await
    };
    let mut got = Vec::new();
    let read = server.reader.read_to_end(&mut got);
    let timeout = Duration::from_hours(1);
    let both = futures_lite::future::zip(send, sim.clock().timeout(timeout, read));
    let (_, read) = both.await;
    let error = read.and_then(|read| read).err().map(|error| error.kind());
    Ok((got, error))
}

#[test]
fn no_fault_delivers_all_bytes_at_once() {
    Simulation::builder()
        .faults(Faults::none())
        .run(async |sim: Sim| {
            let before = sim.clock().now();
            assert_eq!(received(&sim).await?, (BYTES.to_vec(), None));
            assert_eq!(sim.clock().now(), before);
            Ok(())
        });
}

#[test]
fn pieces_and_delays_keep_the_order_and_lose_nothing() {
    let faults = Faults::default()
        .max_piece(7)
        .buffer(50)
        .pauses(0.5)
        .stalls(1.0);
    Simulation::builder().faults(faults).run(async |sim: Sim| {
        assert_eq!(received(&sim).await?, (BYTES.to_vec(), None));
        Ok(())
    });
}

#[test]
fn latency_and_bandwidth_take_their_time() {
    let second = Duration::from_secs(1);
    let slow = Faults::none().latency(second..second).bandwidth(100);
    Simulation::builder()
        .seed(1)
        .faults(slow)
        .run(async |sim: Sim| {
            let before = sim.clock().now();
            received(&sim).await?;
            // Two packets to connect, then one second until the first byte, and ten for all.
            assert_eq!(sim.clock().now() - before, 13 * second);
            Ok(())
        });
}

#[test]
fn small_pieces_do_not_each_wake_a_task_that_waits_for_a_bandwidth() {
    let faults = Faults::default().buffer(700).bandwidth(40_000);
    let simulation = Simulation::builder().seeds(0..10).faults(faults);
    let summary = simulation.try_run(async |sim: Sim| {
        for _ in 0..10 {
            let read = async |mut listener: SimListener| {
                let server = listener.accept().await?.expect("a connection");
                let Connection { mut reader, .. } = server;
                reader.read_to_end(&mut Vec::new()).await
            };
            let listener = sim.listen("server")?;
            let send = async {
                let mut client = sim.connect("server").await?;
                client.writer.write_all(&[7; 10_000]).await?;
                client.writer.close().await
            };
            let (read, ()) = futures_lite::future::try_zip(read(listener), send).await?;
            assert_eq!(read, 10_000);
        }
        Ok(())
    });
    let polls = summary.expect("no failure").polls;
    assert!(polls < 1_000_000 / 4, "{polls} polls for 1,000,000 bytes");
}

/// Runs a hundred seeds with a fault in each direction, and returns the errors of the reads.
fn errors(faults: Faults) -> Vec<Option<ErrorKind>> {
    let errors = RefCell::new(Vec::new());
    let simulation = Simulation::builder().faults(faults.offsets(1..999));
    simulation.run(async |sim: Sim| {
        let (got, error) = received(&sim).await?;
        assert!(got.len() < BYTES.len() && got == BYTES[..got.len()]);
        errors.borrow_mut().push(error);
        Ok(())
    });
    errors.into_inner()
}

#[test]
fn a_reset_an_end_and_a_peer_that_vanishes_are_seen_by_the_reader() {
    for (faults, error) in [
        (Faults::none().resets(1.0), Some(ErrorKind::ConnectionReset)),
        (Faults::none().ends(1.0), None),
        (Faults::none().vanishings(1.0), Some(ErrorKind::TimedOut)),
    ] {
        assert_eq!(errors(faults), [error; 100]);
    }
}

#[test]
fn a_name_without_a_listener_and_a_refused_connection_are_refused() {
    Simulation::builder().run(async |sim: Sim| {
        let error = sim.connect("server").await.expect_err("no listener");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        Ok(())
    });
    Simulation::builder()
        .faults(Faults::none().refusals(1.0))
        .run(async |sim: Sim| {
            let _listener = sim.listen("server")?;
            let error = sim.connect("server").await.expect_err("a fault");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            Ok(())
        });
}

/// A server backs off for 5 ms after an error of a limit.
#[test]
fn an_accept_error_of_each_kind_delays_a_connection_and_does_not_lose_it() {
    let faults = Faults::none().accept_errors(1.0);
    let simulation = Simulation::builder().faults(faults).keep_trace();
    let summary = simulation.try_run(async |sim: Sim| {
        let server = sim.serve("server", async |Connection { reader, writer, .. }| {
            discard(reader, writer).await
        })?;
        for _ in 0..3 {
            let mut client = sim.connect("server").await?;
            client.writer.close().await?;
            assert_eq!(client.reader.read(&mut [0]).await?, 0);
        }
        assert_eq!(server.stats().accept_errors, 3);
        Ok(())
    });
    let summary = summary.expect("no failure");
    let count = |error: &str| {
        let count = summary
            .trace
            .matches(&format!("of server: {error}\n"))
            .count();
        assert!(count > 0, "{error}");
        u32::try_from(count).expect("few")
    };
    let pauses: u32 = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]
        .map(count)
        .iter()
        .sum();
    let others: u32 = ["ECONNABORTED", "EPROTO", "EINTR"].map(count).iter().sum();
    assert_eq!(pauses + others, 300);
    assert_eq!(summary.time, pauses * Duration::from_millis(5));
}

/// Accepts ten connections, and returns the numbers and errors of the accepts that failed first.
async fn accept_errors(sim: &Sim, name: &str) -> io::Result<Vec<String>> {
    let mut listener = sim.listen(name)?;
    let mut errors = Vec::new();
    for n in 0..10 {
        let _client = sim.connect(name).await?;
        while let Err(error) = Listener::accept(&mut listener).await {
            errors.push(format!("{n}: {error}"));
        }
    }
    Ok(errors)
}

#[test]
fn names_and_their_later_listeners_have_different_accept_errors() {
    let faults = Faults::none().accept_errors(0.5);
    let simulation = Simulation::builder().seed(1).faults(faults);
    simulation.run(async |sim: Sim| {
        let one = accept_errors(&sim, "one").await?;
        let again = accept_errors(&sim, "one").await?;
        let two = accept_errors(&sim, "two").await?;
        assert!(one != again && one != two, "{one:?} {again:?} {two:?}");
        Ok(())
    });
}

#[test]
fn limits_and_deadlines_of_a_server_hold() {
    Simulation::builder().run(async |sim: Sim| {
        let hour = Duration::from_hours(1);
        let server = sim
            .server()
            .sources(Sources::default().max_connections(1))
            .timeouts(Timeouts::default().idle(hour));
        let handle = server.handle();
        let discard = async |Connection { reader, writer, .. }| discard(reader, writer).await;
        sim.spawn(server.serve(sim.clone(), sim.listen("server")?, discard));
        let mut first = sim.connect("server").await?;
        let mut refused = sim.connect("server").await?;
        assert_eq!(refused.reader.read(&mut [0]).await?, 0);
        let mut other = sim.connect_from([192, 0, 2, 2], "server").await?;
        let before = sim.clock().now();
        assert_eq!(first.reader.read(&mut [0]).await?, 0);
        assert!(sim.clock().now() - before > hour - Duration::from_secs(2));
        assert_eq!(other.reader.read(&mut [0]).await?, 0);
        drop((first, other));
        handle.shutdown().drain();
        handle.wait_closed().await;
        let ended = handle.stats().ended;
        assert_eq!((ended[Reason::PerSource], ended[Reason::Idle]), (1, 2));
        Ok(())
    });
}
