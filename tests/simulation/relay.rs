//! Relays between a simulated client and a simulated origin.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::testing::{Faults, Sim, SimReader, SimWriter, Simulation};
use halves::{Connection, Handle, Listener, Reason, Server, service};

use crate::exchange::{self, Exchanged, exchange};
use crate::seeds::{are_many, seeds};
use crate::serve::serve;

/// The usual number of seeds of each network.
const SEEDS: u64 = 50;
const MAX_BYTES: u64 = 70_000;
const CLIENT_TIMEOUT: Duration = Duration::from_hours(1);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// The most bytes that a relay holds in one direction.
const HELD_BYTES: usize = 64 * 1024;

/// The faults that a network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    None,
    /// A cut direction is reset.
    Resets,
    /// A cut direction may look whole.
    All,
}

#[derive(Debug, Default)]
struct Counts {
    whole: Cell<usize>,
    cut: Cell<usize>,
    aborted: Cell<usize>,
}

fn add(count: &Cell<usize>) {
    count.set(count.get() + 1);
}

/// Relays each connection to the origin. A client without an origin is reset.
fn serve_relay(sim: &Sim, server: Server) -> io::Result<Handle> {
    let handler = {
        let sim = sim.clone();
        async move |client: Connection<SimReader, SimWriter>| {
            let origin = sim.connect("origin").await;
            let origin = origin.inspect_err(|_| client.peer.abort())?;
            service::relay(client, origin).await
        }
    };
    Ok(serve(sim, server, sim.listen("relay")?, handler))
}

/// One client, a relay and an origin, with bytes both ways at once, and a drain.
async fn script(sim: Sim, counts: Rc<Counts>, loss: Loss) -> io::Result<()> {
    let served = Rc::new(RefCell::new(None));
    let resets = loss != Loss::None && sim.random(0..6) == 0;
    let handler = {
        let (sim, served) = (sim.clone(), served.clone());
        async move |mut c: Connection<SimReader, SimWriter>| {
            let bytes = exchange::bytes(&sim, MAX_BYTES);
            if resets {
                sim.clock()
                    .sleep(Duration::from_millis(sim.random(0..500)))
                    .await;
                c.peer.abort();
                return Ok(());
            }
            served.replace(Some(exchange(&sim, &mut c, bytes).await));
            Ok(())
        }
    };
    let origin = sim.server().drain_timeout(CLIENT_TIMEOUT);
    let origin = serve(&sim, origin, sim.listen("origin")?, handler);
    // Without faults, an end that reads slowly has its time.
    let drain_timeout = match loss {
        Loss::None => CLIENT_TIMEOUT,
        _ => DRAIN_TIMEOUT,
    };
    let relay = serve_relay(&sim, sim.server().drain_timeout(drain_timeout))?;
    let drain = async {
        if loss != Loss::None {
            sim.clock()
                .sleep(Duration::from_millis(sim.random(0..20_000)))
                .await;
            relay.shutdown().drain();
        }
    };
    let near = future::zip(client(&sim), drain).await.0;
    let drain_began = sim.clock().now();
    relay.shutdown().drain();
    relay.wait_closed().await;
    assert!(sim.clock().now() - drain_began <= drain_timeout + Duration::from_secs(1));
    origin.shutdown().drain();
    origin.wait_closed().await;
    let Some(near) = near else {
        assert_ne!(loss, Loss::None, "refused");
        return Ok(());
    };
    let far = served.take();
    check(&near, far.as_ref(), &counts, loss);
    if far.is_some_and(|far| near.has_all_of(&far) && far.has_all_of(&near)) {
        check_stats(&near, [&relay, &origin], loss);
    }
    add_aborted(&relay, &counts);
    Ok(())
}

async fn client(sim: &Sim) -> Option<Exchanged> {
    let mut client = sim.connect("relay").await.ok()?;
    let bytes = exchange::bytes(sim, MAX_BYTES);
    let exchange = exchange(sim, &mut client, bytes);
    sim.clock().timeout(CLIENT_TIMEOUT, exchange).await.ok()
}

fn check(near: &Exchanged, far: Option<&Exchanged>, counts: &Counts, loss: Loss) {
    let ways = [(Some(near), far), (far, Some(near))];
    for (to, from) in ways {
        match (to, from) {
            (Some(to), Some(from)) if loss == Loss::All => to.check_prefix(from),
            (Some(to), Some(from)) => to.check_from(Some(from)),
            // The other end was cut off: it has sent no end.
            (Some(to), None) if loss == Loss::Resets => assert!(to.read.is_err(), "an end"),
            _ => {}
        }
    }
    let is_whole = near.is_whole() && far.is_some_and(Exchanged::is_whole);
    add(if is_whole { &counts.whole } else { &counts.cut });
    assert!(
        is_whole || loss != Loss::None,
        "{:?} {:?}",
        near.written,
        near.read
    );
}

/// Checks that both servers have counted each byte once, in each direction.
fn check_stats(near: &Exchanged, servers: [&Handle; 2], loss: Loss) {
    for server in servers {
        let stats = server.stats();
        let [sent, received] = [&near.sent, &near.received].map(|bytes| bytes.len() as u64);
        assert_eq!((stats.bytes_in, stats.bytes_out), (sent, received));
        assert!(
            loss == Loss::All || stats.ended[Reason::Eof] == 1,
            "{stats:?}"
        );
    }
}

fn add_aborted(relay: &Handle, counts: &Counts) {
    let aborted = relay.stats().ended[Reason::Aborted];
    if aborted > 0 {
        add(&counts.aborted);
    }
}

fn run(faults: Faults, loss: Loss) -> Rc<Counts> {
    let counts = Rc::<Counts>::default();
    Simulation::builder()
        .seeds(seeds(SEEDS))
        .faults(faults)
        .run(|sim| script(sim, counts.clone(), loss));
    counts
}

fn assert_found(counts: &Counts, found: &[&Cell<usize>]) {
    let all = found.iter().all(|count| count.get() > 2);
    assert!(all || !are_many(), "{counts:?}");
}

#[test]
fn all_bytes_and_both_ends_are_passed_on() {
    for faults in [
        Faults::default(),
        Faults::default().max_piece(1000).buffer(1500),
    ] {
        let counts = run(faults, Loss::None);
        assert_found(&counts, &[&counts.whole]);
    }
}

#[test]
fn a_reset_of_a_link_is_passed_on_as_a_reset() {
    let faults = Faults::default().resets(0.2).offsets(0..30_000);
    let counts = run(faults, Loss::Resets);
    assert_found(&counts, &[&counts.whole, &counts.cut]);
}

#[test]
fn with_all_faults_no_byte_is_out_of_order_and_a_drain_ends_in_time() {
    let counts = run(Faults::all().vanishings(0.4).offsets(0..30_000), Loss::All);
    assert_found(&counts, &[&counts.whole, &counts.cut, &counts.aborted]);
}

/// A client that sends without end to an origin that reads nothing.
#[test]
fn a_relay_holds_64_kib_of_a_direction() {
    for buffer in [1, 1000, 70_000] {
        let simulation = Simulation::builder().faults(Faults::default().buffer(buffer));
        simulation.seeds(0..5).run(async |sim: Sim| {
            let mut listener = sim.listen("origin")?;
            let relay = serve_relay(&sim, sim.server())?;
            let (client, origin) = future::zip(sim.connect("relay"), listener.accept()).await;
            let (mut client, origin) = (client?, origin?.expect("one has connected"));
            let sent = exchange::bytes(&sim, 1).len() + 4 * buffer + 4 * HELD_BYTES;
            let sent = vec![b'a'; sent];
            let mut accepted = 0;
            let write = exchange::write(&sim, &mut client.writer, &sent, &mut accepted);
            let written = sim.clock().timeout(CLIENT_TIMEOUT, write).await;
            assert!(written.is_err(), "all bytes were taken");
            let most = 2 * buffer + HELD_BYTES;
            assert!(
                (2 * buffer..=most).contains(&accepted),
                "{accepted}, and not {most}"
            );
            assert_eq!(relay.stats().bytes_in, (accepted - buffer) as u64);
            drop((client, origin));
            relay.shutdown().drain();
            relay.wait_closed().await;
            Ok(())
        });
    }
}

/// A client that has ended its half still gets the answer, and an origin the rest of the request.
#[test]
fn each_half_ends_alone() {
    let simulation = Simulation::builder().seeds(seeds(30));
    simulation.run(async |sim: Sim| {
        let handler = async |mut c: Connection<SimReader, SimWriter>| {
            let mut request = Vec::new();
            c.reader.read_to_end(&mut request).await?;
            assert_eq!(request, b"question");
            c.writer.write_all(b"answer").await
        };
        let origin = sim.serve("origin", handler)?;
        let relay = serve_relay(&sim, sim.server())?;
        let mut client = sim.connect("relay").await?;
        client.writer.write_all(b"question").await?;
        client.writer.close().await?;
        let mut answer = Vec::new();
        client.reader.read_to_end(&mut answer).await?;
        assert_eq!(answer, b"answer");
        for server in [&relay, &origin] {
            server.shutdown().drain();
            server.wait_closed().await;
            assert_eq!(server.stats().ended[Reason::Eof], 1);
        }
        Ok(())
    });
}
