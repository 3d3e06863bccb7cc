//! Names, listeners and connections of the simulated network.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::service::{self, echo, upper};
use halves::testing::{Faults, Sim, SimReader, SimWriter, Simulation};
use halves::{Connection, Listener};

type SimConnection = Connection<SimReader, SimWriter>;

async fn serve_echo(Connection { reader, writer, .. }: SimConnection) -> io::Result<()> {
    echo(reader, writer).await
}

async fn serve_upper(Connection { reader, writer, .. }: SimConnection) -> io::Result<()> {
    upper(reader, writer).await
}

/// Sends a text and the end, and returns the answer.
async fn ask(sim: &Sim, name: &str, text: &str) -> io::Result<String> {
    let mut client = sim.connect(name).await?;
    let mut answer = String::new();
    let write = async {
        client.writer.write_all(text.as_bytes()).await?;
        client.writer.close().await
    };
    future::try_zip(write, client.reader.read_to_string(&mut answer)).await?;
    Ok(answer)
}

/// Connects, and returns both ends.
async fn pair(
    sim: &Sim,
    listener: &mut impl Listener<Reader = SimReader, Writer = SimWriter>,
) -> io::Result<(Connection, SimConnection)> {
    let both = future::try_zip(sim.connect("server"), listener.accept()).await?;
    Ok((both.0, both.1.expect("a connection")))
}

/// A front server. Its handler connects to one of two others: it is a client, too.
#[test]
fn a_handler_connects_onwards_to_other_servers() {
    let simulation = Simulation::builder();
    let summary = simulation.try_run(async |sim: Sim| {
        sim.serve("echo", serve_echo)?;
        sim.serve("upper", serve_upper)?;
        let inner = sim.clone();
        sim.serve("front", async move |mut client: SimConnection| {
            let name = client.reader.line().await?.unwrap_or_default();
            let name = String::from_utf8_lossy(&name).trim().to_owned();
            let target = inner.connect(&name).await?;
            service::relay(client, target).await.map(drop)
        })?;
        let asks = ["echo\nabc", "upper\nabc", "echo\nxyz", "upper\nxyz"];
        let [a, b, c, d] = asks.map(|text| ask(&sim, "front", text));
        let answers = future::try_zip(future::try_zip(a, b), future::try_zip(c, d)).await?;
        let ((a, b), (c, d)) = answers;
        assert_eq!([a, b, c, d], ["abc", "ABC", "xyz", "XYZ"]);
        Ok(())
    });
    assert_eq!(summary.expect("no failure").connections, 800);
}

#[test]
fn a_name_is_refused_after_its_server_has_stopped_and_is_free_for_another() {
    Simulation::builder().run(async |sim: Sim| {
        let first = sim.serve("server", serve_echo)?;
        assert_eq!(ask(&sim, "server", "abc").await?, "abc");
        assert!(sim.listen("server").is_err(), "it is in use");
        first.shutdown().drain();
        first.wait_closed().await;
        let refused = ask(&sim, "server", "abc").await.expect_err("stopped");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        sim.serve("server", serve_upper)?;
        assert_eq!(ask(&sim, "server", "abc").await?, "ABC");
        Ok(())
    });
}

/// As the kernel does with a backlog.
#[test]
fn a_dropped_listener_resets_the_clients_that_wait_and_refuses_those_on_their_way() {
    let second = Duration::from_secs(1);
    let faults = Faults::none().latency(second..second);
    Simulation::builder().faults(faults).run(async |sim: Sim| {
        let listener = sim.listen("server")?;
        let mut waiting = sim.connect("server").await?;
        let connect = sim.connect("server");
        let dropping = async {
            sim.clock().sleep(second / 2).await;
            drop(listener);
        };
        let (on_its_way, ()) = future::zip(connect, dropping).await;
        let refused = on_its_way.expect_err("no listener");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let reset = waiting.reader.read(&mut [0]).await.expect_err("dropped");
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn a_stopped_listener_accepts_those_that_wait_and_refuses_others() {
    Simulation::builder().run(async |sim: Sim| {
        let mut listener = sim.listen("server")?;
        let _waiting = sim.connect("server").await?;
        listener.stop();
        let refused = sim.connect("server").await.expect_err("stopped");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(listener.accept().await?.is_some());
        assert!(listener.accept().await?.is_none());
        Ok(())
    });
}

#[test]
fn a_dropped_connect_leaves_a_client_that_has_gone() {
    let second = Duration::from_secs(1);
    let faults = Faults::none().latency(second..second);
    Simulation::builder().faults(faults).run(async |sim: Sim| {
        let mut listener = sim.listen("server")?;
        // The connection is made after a second, and reported to the client after two.
        let connect = sim.clock().timeout(second * 3 / 2, sim.connect("server"));
        assert!(connect.await.is_err());
        let mut server = listener.accept().await?.expect("a connection");
        assert_eq!(server.reader.read(&mut [0]).await?, 0);
        Ok(())
    });
}

#[test]
fn the_smallest_buffer_and_piece_move_bytes_one_by_one() {
    for faults in [
        Faults::none().buffer(1),
        Faults::none().max_piece(1),
        // Smaller ones are taken as 1.
        Faults::default().buffer(0).max_piece(0),
    ] {
        Simulation::builder()
            .seeds(0..10)
            .faults(faults)
            .run(async |sim: Sim| {
                let mut listener = sim.listen("server")?;
                let (mut client, mut server) = pair(&sim, &mut listener).await?;
                let write = async {
                    client.writer.write_all(b"abcdefgh").await?;
                    client.writer.close().await
                };
                let mut got = Vec::new();
                let read = async {
                    let mut buffer = [0; 8];
                    loop {
                        match server.reader.read(&mut buffer).await? {
                            0 => return io::Result::Ok(()),
                            n => assert_eq!(n, 1),
                        }
                        got.push(buffer[0]);
                    }
                };
                future::try_zip(write, read).await?;
                assert_eq!(got, b"abcdefgh");
                Ok(())
            });
    }
}

/// The first read of six bytes, which no power of two divides.
#[test]
fn every_size_of_a_piece_is_found() {
    let sizes = RefCell::new(BTreeSet::new());
    Simulation::builder().run(async |sim: Sim| {
        let mut listener = sim.listen("server")?;
        let (mut client, mut server) = pair(&sim, &mut listener).await?;
        client.writer.write_all(b"hello\n").await?;
        sim.clock().sleep(Duration::from_secs(10)).await;
        let size = server.reader.read(&mut [0; 9]).await?;
        sizes.borrow_mut().insert(size);
        Ok(())
    });
    assert_eq!(sizes.into_inner(), (1..=6).collect());
}

#[test]
fn a_latency_of_zero_length_or_less_is_its_start() {
    let ms = Duration::from_millis;
    for (faults, expected) in [
        (Faults::none().latency(ms(20)..ms(20)), ms(60)),
        #[allow(clippy::reversed_empty_ranges, reason = "it is the case")]
        (Faults::none().latency(ms(20)..ms(10)), ms(60)),
        (Faults::none().latency(ms(0)..ms(0)), ms(0)),
    ] {
        let took = Cell::new(Duration::ZERO);
        Simulation::builder().faults(faults).run(async |sim: Sim| {
            let before = sim.clock().now();
            let mut listener = sim.listen("server")?;
            let (mut client, mut server) = pair(&sim, &mut listener).await?;
            client.writer.write_all(b"x").await?;
            server.reader.read_exact(&mut [0]).await?;
            took.set(sim.clock().now() - before);
            Ok(())
        });
        assert_eq!(took.get(), expected);
    }
}

/// The peer gets neither the bytes nor the end, and the other direction works on.
#[test]
fn a_direction_that_has_vanished_takes_bytes_up_to_its_close() {
    let faults = Faults::none().vanishings(1.0).offsets(0..1);
    let minute = Duration::from_mins(1);
    Simulation::builder().faults(faults).run(async |sim: Sim| {
        let mut listener = sim.listen("server")?;
        let (mut client, mut server) = pair(&sim, &mut listener).await?;
        client.writer.write_all(&vec![7; 200_000]).await?;
        client.writer.close().await?;
        let refused = client.writer.write_all(b"x").await.expect_err("closed");
        assert_eq!(refused.kind(), ErrorKind::BrokenPipe);
        let mut byte = [0];
        let read = server.reader.read(&mut byte);
        let nothing = sim
            .clock()
            .timeout(minute, read)
            .await
            .expect_err("nothing");
        assert_eq!(nothing.kind(), ErrorKind::TimedOut);
        Ok(())
    });
}
