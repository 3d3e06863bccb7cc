//! Random scripts: clients one after another, each with bytes both ways at once, and a drain.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use halves::testing::{Faults, Sim, SimReader, SimWriter, Simulation};
use halves::tls::TlsConnection;
use halves::{Reason, Timeouts};

use super::{both_ends, random_ends};
use crate::exchange::{self, Exchanged, exchange};
use crate::seeds::{are_many, seeds};
use crate::support::tls_ends::Ends;

/// The usual number of seeds.
const SEEDS: u64 = 60;
/// The most bytes of one direction: more than one record.
const MAX_BYTES: u64 = 40_000;
const CLIENT_TIMEOUT: Duration = Duration::from_mins(5);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_TIMEOUT: Duration = Duration::from_mins(2);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The ends of all connections.
#[derive(Debug, Default)]
struct Counts {
    whole: Cell<usize>,
    resumed: Cell<usize>,
    no_handshake: Cell<usize>,
    cut: Cell<usize>,
}

/// The exchanges that handlers have finished, with the port of the client.
type Served = Rc<RefCell<Vec<(u16, Exchanged)>>>;

fn add(count: &Cell<usize>) {
    count.set(count.get() + 1);
}

/// Serves TLS, and up to three clients one after another. A client exchanges bytes with a handler.
async fn script(sim: Sim, counts: Rc<Counts>, loses: bool) -> io::Result<()> {
    let ends = random_ends(&sim);
    let served = Served::default();
    let handler = {
        let (sim, served) = (sim.clone(), served.clone());
        async move |mut c: TlsConnection<SimReader, SimWriter>| {
            let bytes = exchange::bytes(&sim, MAX_BYTES);
            let exchanged = exchange(&sim, &mut c, bytes).await;
            let port = c.peer.transport().socket_addr().expect("it has one").port();
            served.borrow_mut().push((port, exchanged));
            Ok(())
        }
    };
    let timeouts = Timeouts::default()
        .handshake(HANDSHAKE_TIMEOUT)
        .idle(IDLE_TIMEOUT);
    let server = sim.server().timeouts(timeouts).drain_timeout(DRAIN_TIMEOUT);
    let handle = server.handle();
    let serving = server.serve(sim.clone(), sim.listen("tls")?, ends.acceptor.wrap(handler));
    let (report, ended) = smol::channel::bounded(1);
    sim.spawn(async move { report.send(serving.await).await });

    let mut exchanges = Vec::new();
    for n in 0..sim.random(1..4) {
        let Ok(connected) = client(&sim, &ends, n, &counts).await else {
            assert!(loses, "a handshake failed");
            add(&counts.no_handshake);
            continue;
        };
        exchanges.push(connected);
    }
    let drain_began = sim.clock().now();
    handle.shutdown().drain();
    let report = ended.recv().await.expect("it ends")?;
    assert!(sim.clock().now() - drain_began <= DRAIN_TIMEOUT + Duration::from_secs(1));
    for (port, near) in &exchanges {
        let served = served.borrow();
        let far = served.iter().find(|(other, _)| other == port);
        check(near, far.map(|(_, far)| far), &counts, loses);
    }
    let ended = report.stats.ended;
    assert_eq!(ended.total(), report.stats.accepted);
    let eof = usize::try_from(ended[Reason::Eof]).expect("it is small");
    assert!(loses || eof == exchanges.len(), "{ended:?}");
    Ok(())
}

/// Connects and exchanges bytes. Returns the port and the result.
async fn client(sim: &Sim, ends: &Ends, n: u64, counts: &Counts) -> io::Result<(u16, Exchanged)> {
    let client = sim.connect("tls").await?;
    let port = client
        .peer
        .local()
        .socket_addr()
        .expect("it has one")
        .port();
    let shake = ends.connector.handshake(client, "localhost");
    let mut client = sim.clock().timeout(CLIENT_TIMEOUT, shake).await??;
    let info = client.peer.tls().expect("a handshake");
    if info.is_resumed() {
        assert_ne!(n, 0, "there was no session before");
        add(&counts.resumed);
    }
    let sent = exchange::bytes(sim, MAX_BYTES);
    let exchange = exchange(sim, &mut client, sent);
    let exchanged = sim.clock().timeout(CLIENT_TIMEOUT, exchange).await?;
    Ok((port, exchanged))
}

/// Checks both directions of a connection. `far` is None if the handler was cut off.
fn check(near: &Exchanged, far: Option<&Exchanged>, counts: &Counts, loses: bool) {
    near.check_from(far);
    if let Some(far) = far {
        far.check_from(Some(near));
    }
    let whole = near.is_whole() && far.is_some_and(Exchanged::is_whole);
    add(if whole { &counts.whole } else { &counts.cut });
    assert!(loses || whole, "{:?} {:?}", near.written, near.read);
    for end in [Some(near), far].into_iter().flatten() {
        let error = end.read.as_ref().err().map(io::Error::kind);
        assert!(
            matches!(
                error,
                None | Some(ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof)
            ),
            "{error:?}"
        );
    }
}

fn run(faults: &Faults, loses: bool) -> Rc<Counts> {
    let counts = Rc::<Counts>::default();
    Simulation::builder()
        .seeds(seeds(SEEDS))
        .faults(faults.clone())
        .run(|sim| script(sim, counts.clone(), loses));
    counts
}

#[test]
fn all_bytes_pass_both_ways_under_splits_delays_and_stalls() {
    let counts = run(&Faults::default(), false);
    let resumed = counts.resumed.get();
    assert!(resumed > 50 || !are_many(), "{counts:?}");
}

#[test]
fn a_handshake_passes_in_single_bytes() {
    let faults = Faults::default().max_piece(1).buffer(3);
    for ends in both_ends() {
        Simulation::builder()
            .seeds(0..3)
            .faults(faults.clone())
            .run(async |sim: Sim| {
                let handler = async |mut c: TlsConnection<SimReader, SimWriter>| {
                    let (reader, writer) = (&mut c.reader, &mut c.writer);
                    futures_lite::io::copy(reader, writer).await.map(drop)
                };
                sim.serve("tls", ends.acceptor.wrap(handler))?;
                let client = sim.connect("tls").await?;
                let mut client = ends.connector.handshake(client, "localhost").await?;
                let exchanged = exchange(&sim, &mut client, b"hello".to_vec()).await;
                assert!(exchanged.is_whole() && exchanged.received == b"hello");
                Ok(())
            });
    }
}

#[test]
fn with_all_faults_a_cut_direction_is_never_whole() {
    let counts = run(&Faults::all().resets(0.2).ends(0.2).offsets(0..8000), true);
    let found = [&counts.whole, &counts.no_handshake, &counts.cut];
    let all = found.iter().all(|count| count.get() > 5);
    assert!(all || !are_many(), "{counts:?}");
}

#[test]
fn a_seed_gives_the_same_sizes_and_faults_each_time() {
    for seed in 0..20 {
        let simulation = Simulation::builder().seed(seed).keep_trace();
        let simulation = simulation.faults(Faults::all());
        let run = || simulation.try_run(|sim| script(sim, Rc::default(), true));
        let runs = [(); 2].map(|()| run().expect("no failure").trace);
        assert!(runs[0] == runs[1], "seed {seed}");
    }
}
