//! Counts that a handle returns: by listener, live bytes, histograms; and several observers.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::limits::Rules;
use halves::listener::memory::{self, Connector, MemoryConnection};
use halves::listener::merge;
use halves::service::echo;
use halves::stats::{Histogram, Stats};
use halves::{Connection, Endpoint, Event, Executor, Handle, Listener, Reason, Server};

use crate::support::harness::network::{echoes, network};
use crate::support::harness::{Served, World};
use crate::support::seed::seed;

const MOMENT: Duration = Duration::from_nanos(1);
const MILLI: Duration = Duration::from_millis(1);

async fn any_echo(c: Connection) -> io::Result<()> {
    echo(c.reader, c.writer).await
}

/// A server of three listeners, the last two merged from others.
fn serve_three(world: &World) -> (Served, Vec<Connector>) {
    let (listeners, connectors): (Vec<_>, Vec<_>) =
        (0..3).map(|_| memory::listener(1 << 16)).unzip();
    let mut listeners = listeners.into_iter();
    let mut next = || listeners.next().expect("there are three");
    let listener = merge(next(), merge(next(), next()));
    assert_eq!(listener.local_addrs().len(), 3);
    (
        world.serve(Server::default(), listener, any_echo),
        connectors,
    )
}

/// Sends bytes, and takes the echo.
fn talk(world: &World, client: &mut MemoryConnection, bytes: usize) {
    future::block_on(client.writer.write_all(&vec![0; bytes])).expect("it fits");
    world.settle();
    future::block_on(client.reader.exactly(bytes)).expect("it is echoed");
}

/// Accepted, open and ended connections, and bytes in both directions.
type Counts = [u64; 5];

fn of_listeners(handle: &Handle) -> Vec<Counts> {
    let listeners = handle.listeners().into_iter();
    let counts = listeners.map(|l| [l.accepted, l.open, l.ended, l.bytes_in, l.bytes_out]);
    counts.collect()
}

fn totals(stats: &Stats) -> Counts {
    let ended = stats.ended.total();
    [
        stats.accepted,
        stats.open,
        ended,
        stats.bytes_in,
        stats.bytes_out,
    ]
}

fn sum(all: &[Counts]) -> Counts {
    std::array::from_fn(|index| all.iter().map(|counts| counts[index]).sum())
}

#[test]
fn each_listener_has_its_own_counts_with_live_bytes() {
    let world = World::new();
    let (served, connectors) = serve_three(&world);
    let handle = &served.handle;
    let locals = handle
        .listeners()
        .into_iter()
        .map(|listener| listener.local);
    assert_eq!(locals.collect::<Vec<_>>(), [const { Endpoint::Memory }; 3]);
    assert_eq!(of_listeners(handle), [[0; 5]; 3]);
    let mut first = world.connect(&connectors[0]);
    let mut third = world.connect(&connectors[2]);
    let idle = world.connect(&connectors[2]);
    talk(&world, &mut first, 5);
    talk(&world, &mut third, 70);
    let live = [[1, 1, 0, 5, 5], [0; 5], [2, 2, 0, 70, 70]];
    assert_eq!(of_listeners(handle), live);
    drop((third, idle));
    world.settle();
    let ended = [[1, 1, 0, 5, 5], [0; 5], [2, 0, 2, 70, 70]];
    assert_eq!(of_listeners(handle), ended);
    handle.shutdown().abort();
    world.settle();
    let ended = [[1, 0, 1, 5, 5], [0; 5], [2, 0, 2, 70, 70]];
    assert_eq!(of_listeners(handle), ended);
    assert_eq!(totals(&handle.stats()), [3, 0, 3, 75, 75]);
    drop(first);
}

#[test]
fn a_refused_connection_counts_for_its_listener() {
    let world = World::new();
    let (listener, clients) = network();
    let rules = Rules::default().deny("192.0.2.0/24".parse().expect("a network"));
    let served = world.serve(Server::default().rules(rules), listener, echoes);
    let _ = clients.connect(&world, "192.0.2.1:1");
    let _open = clients.connect(&world, "192.0.3.1:1");
    // The listener has no address, so it has that of its first connection.
    assert_eq!(served.handle.listeners()[0].local, Endpoint::Memory);
    assert_eq!(of_listeners(&served.handle), [[2, 1, 1, 0, 0]]);
    assert_eq!(
        served.handle.histograms().age.total(),
        0,
        "it was not admitted"
    );
}

#[test]
fn statistics_and_the_report_include_connections_that_are_open() {
    let world = World::new();
    let (served, connector) = world.serve_memory(Server::default(), echoes);
    let mut client = world.connect(&connector);
    talk(&world, &mut client, 10);
    assert_eq!(totals(&served.handle.stats()), [1, 1, 0, 10, 10]);
    talk(&world, &mut client, 10);
    assert_eq!(totals(&served.handle.stats()), [1, 1, 0, 20, 20]);
    let handle = served.handle.clone();
    handle.shutdown().abort();
    let report = world.report(served);
    assert_eq!(totals(&report.stats), [1, 0, 1, 20, 20]);
    assert_eq!(report.stats, handle.stats());
}

/// The bounds at which a connection with this value counts.
fn counted_from<T: Copy + PartialOrd>(histogram: &Histogram<T>) -> Vec<T> {
    let counted = histogram.cumulative().filter(|&(_, count)| count > 0);
    counted.map(|(bound, _)| bound).collect()
}

#[test]
fn a_connection_counts_from_the_first_bound_that_is_not_below_it() {
    for (bytes, age, first_bytes, first_age) in [
        (0, Duration::ZERO, 64, MILLI),
        (63, MILLI - MOMENT, 64, MILLI),
        (64, MILLI, 64, MILLI),
        (65, MILLI + MOMENT, 256, MILLI * 4),
        (256, MILLI * 4, 256, MILLI * 4),
        (257, MILLI * 4 + MOMENT, 1024, MILLI * 16),
        (1024, MILLI * 16, 1024, MILLI * 16),
    ] {
        let world = World::new();
        let (served, connector) = world.serve_memory(Server::default(), echoes);
        let mut client = world.connect(&connector);
        talk(&world, &mut client, bytes);
        world.pass(age);
        assert_eq!(served.handle.histograms().age.total(), 0, "it is open");
        drop(client);
        world.settle();
        let histograms = served.handle.histograms();
        for histogram in [histograms.bytes_in, histograms.bytes_out] {
            assert_eq!((histogram.total(), histogram.sum()), (1, bytes as u64));
            assert_eq!(counted_from(&histogram)[0], first_bytes, "{bytes}");
        }
        assert_eq!((histograms.age.total(), histograms.age.sum()), (1, age));
        assert_eq!(counted_from(&histograms.age)[0], first_age, "{age:?}");
        // All later bounds have it too.
        let from = 14 - counted_from(&histograms.age).len();
        assert_eq!(histograms.age.cumulative().nth(from), Some((first_age, 1)));
    }
}

#[test]
fn a_value_above_all_bounds_counts_in_the_total_only() {
    let world = World::new();
    let (served, connector) = world.serve_memory(Server::default(), echoes);
    let last = MILLI * (1 << 26);
    let ages = [last, last + MOMENT];
    for age in ages {
        let client = world.connect(&connector);
        world.pass(age);
        drop(client);
        world.settle();
    }
    let ages_seen = served.handle.histograms().age;
    assert_eq!(ages_seen.cumulative().last(), Some((last, 1)));
    assert_eq!((ages_seen.total(), ages_seen.sum()), (2, ages[0] + ages[1]));
}

#[test]
fn observers_are_called_in_the_order_in_which_they_were_added() {
    let world = World::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut server = Server::default();
    for name in ["first", "second", "third"] {
        let seen = seen.clone();
        server = server.on_event(move |event| {
            let id = match event {
                Event::Opened(peer) => peer.id(),
                Event::Closed(closed) => closed.peer.id() + 100,
                _ => return,
            };
            seen.lock().expect("no panic").push((name, id));
        });
    }
    let (served, connector) = world.serve_memory(server, echoes);
    drop(world.connect(&connector));
    world.settle();
    let names = ["first", "second", "third"];
    let expected = [1, 101].map(|id| names.map(|name| (name, id))).concat();
    assert_eq!(*seen.lock().expect("no panic"), expected);
    assert_eq!(
        served.events(),
        ["closed 1 eof"],
        "and one that was added last"
    );
}

/// Checks that the counts of one moment agree, and that none is below those of an earlier moment.
fn check(handle: &Handle, before: &mut Stats) {
    let stats = handle.stats();
    let connections = handle.connections();
    assert_eq!(sum(&of_listeners(handle)), totals(&stats));
    let decreased = |now: &Stats, before: &Stats| {
        let [accepted, _, ended, bytes_in, bytes_out] = totals(now);
        let [was_accepted, _, was_ended, was_in, was_out] = totals(before);
        let reasons = Reason::ALL.iter();
        accepted < was_accepted
            || ended < was_ended
            || bytes_in < was_in
            || bytes_out < was_out
            || reasons
                .into_iter()
                .any(|&reason| now.ended[reason] < before.ended[reason])
    };
    assert!(!decreased(&stats, before), "{before:?} {stats:?}");
    let histograms = handle.histograms();
    assert_eq!(histograms.age.total(), stats.ended.total());
    let live: u64 = connections.iter().map(|info| info.bytes_in).sum();
    assert_eq!(histograms.bytes_in.sum() + live, stats.bytes_in);
    let live: u64 = connections.iter().map(|info| info.bytes_out).sum();
    assert_eq!(histograms.bytes_out.sum() + live, stats.bytes_out);
    *before = stats;
}

#[test]
fn counts_add_up_after_each_random_step() {
    let mut random = Rng::with_seed(seed());
    let world = World::new();
    let (served, connectors) = serve_three(&world);
    let handle = &served.handle;
    let open = Rc::new(RefCell::new(Vec::<MemoryConnection>::new()));
    let mut before = Stats::default();
    for _ in 0..500 {
        let mut open = open.borrow_mut();
        let picked = (!open.is_empty()).then(|| random.usize(..open.len()));
        match (random.u8(..10), picked) {
            (0..3, _) | (_, None) => {
                open.push(world.connect(&connectors[random.usize(..3)]));
            }
            (3..6, Some(index)) => {
                let bytes = vec![0; random.usize(1..1000)];
                let _ = future::block_on(open[index].writer.write_all(&bytes));
            }
            (6, Some(index)) => drop(open.swap_remove(index)),
            (7, _) => {
                let ids = handle.connections();
                let id = ids.first().map_or(0, |info| info.id);
                let _ = if random.bool() {
                    handle.kill(id)
                } else {
                    handle.close(id)
                };
            }
            (_, Some(index)) => {
                let mut buf = [0; 1000];
                let read = open[index].reader.read(&mut buf);
                let read = future::block_on(future::poll_once(read));
                // An end or an error: the server has closed it.
                if !matches!(read, None | Some(Ok(1..))) {
                    drop(open.swap_remove(index));
                }
            }
        }
        if random.bool() {
            world.settle();
        }
        world.pass(Duration::from_millis(random.u64(..20)));
        check(handle, &mut before);
    }
    open.borrow_mut().clear();
    world.settle();
    check(handle, &mut before);
    assert_eq!(before.open, 0);
    assert!(before.accepted > 50 && before.bytes_in > 1000, "{before:?}");
}

#[test]
fn bytes_never_decrease_while_connections_end_on_other_threads() {
    const CLIENTS: usize = 2000;
    const BYTES: usize = 64;
    let ex = Executor::new();
    let (listener, connector) = memory::listener(1 << 16);
    let server = Server::default();
    let handle = server.handle();
    let done = Arc::new(AtomicBool::new(false));
    let reading = thread::spawn({
        let (handle, done) = (handle.clone(), done.clone());
        move || {
            let mut last = handle.stats();
            while !done.load(Ordering::Acquire) {
                let stats = handle.stats();
                let ended = stats.ended.total() * BYTES as u64;
                assert!(
                    stats.bytes_in >= last.bytes_in.max(ended),
                    "{last:?} {stats:?}"
                );
                last = stats;
            }
        }
    });
    let ask = async || {
        let mut client = connector.connect().await?;
        client.writer.write_all(&[0; BYTES]).await?;
        client.reader.read_exact(&mut [0; BYTES]).await
    };
    let clients = async {
        for _ in 0..CLIENTS {
            ask().await.expect("it is echoed");
        }
        handle.shutdown().drain();
    };
    let serving = server.serve(&ex, listener, async |c: MemoryConnection| {
        echo(c.reader, c.writer).await
    });
    let (report, ()) = ex.block_on(future::zip(serving, clients));
    done.store(true, Ordering::Release);
    reading.join().expect("bytes never decrease");
    let stats = report.expect("no error of the listener").stats;
    assert_eq!(stats.bytes_in, (CLIENTS * BYTES) as u64);
    assert_eq!(stats, handle.stats());
}
