//! PROXY headers in any pieces, from trusted and other sources, with garbage, a pause without end or
//! payload behind them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::limits::Sources;
use halves::proxy_protocol::{ProxyProtocol, Version};
use halves::service::echo;
use halves::testing::{Faults, Sim, Simulation};
use halves::{Connection, Event, Handle, Peer, Reason, Timeouts};
use ppp::v2;

use crate::exchange::{self, Exchanged, exchange};
use crate::seeds::{are_many, seeds};
use crate::serve::serve;

/// The usual number of seeds.
const SEEDS: u64 = 200;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(40);
const IDLE_TIMEOUT: Duration = Duration::from_mins(2);
const CLIENT_TIMEOUT: Duration = Duration::from_mins(10);
/// The most connections of one client, by its header.
const PER_SOURCE: usize = 1;

/// The input of one connection.
#[derive(Clone, Debug)]
enum Script {
    /// A header of this client, and payload.
    Header(SocketAddr),
    /// A header from a source that is not trusted.
    Untrusted,
    /// A beginning of a header, and then nothing.
    Unfinished,
    /// A beginning of a header, and then the end.
    Cut,
    /// A header with a wrong signature, and payload.
    Garbage,
    /// Any bytes behind a header or none, some of them changed, and then the end.
    Any,
}

/// The reasons of each connection, by the port of the transport: one of its refusal, one of its end.
type Reasons = Arc<Mutex<BTreeMap<u16, Vec<Reason>>>>;

/// The client of each handler, by the port of the transport.
type Clients = Rc<RefCell<BTreeMap<u16, SocketAddr>>>;

/// The number of handlers of each client that run, by its header.
type Running = Rc<RefCell<BTreeMap<IpAddr, usize>>>;

/// The port of a client and its result. None if it was refused, or did not end in time.
type Talked = Option<(u16, Option<Exchanged>)>;

/// Counts a handler while it runs.
struct Guard(Running, IpAddr);

impl Guard {
    fn new(running: &Running, client: IpAddr) -> Self {
        let mut all = running.borrow_mut();
        let count = all.entry(client).or_default();
        *count += 1;
        assert!(*count <= PER_SOURCE, "{client} has {count} connections");
        drop(all);
        Self(running.clone(), client)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        *self.0.borrow_mut().get_mut(&self.1).expect("it runs") -= 1;
    }
}

impl Script {
    fn random(sim: &Sim) -> Self {
        let host = u8::try_from(sim.random(1..4)).expect("it is small");
        let port = u16::try_from(sim.random(1..60_000)).expect("it is small");
        match sim.random(0..12) {
            0..6 => Self::Header(SocketAddr::from(([203, 0, 113, host], port))),
            6 => Self::Untrusted,
            7 => Self::Unfinished,
            8 => Self::Cut,
            9 => Self::Garbage,
            _ => Self::Any,
        }
    }

    /// The source of the connection.
    fn source(&self) -> IpAddr {
        match self {
            Self::Untrusted => Ipv4Addr::new(192, 0, 2, 1).into(),
            // All others come from one balancer, which has no limit.
            _ => Ipv4Addr::new(10, 0, 0, 1).into(),
        }
    }

    /// Returns the bytes in front of the payload, and true if the client then goes on.
    fn input(&self, sim: &Sim) -> (Vec<u8>, bool) {
        let client = match self {
            Self::Header(client) => *client,
            _ => SocketAddr::from(([203, 0, 113, 1], 7)),
        };
        let mut bytes = header(sim, client);
        let part = usize::try_from(sim.random(0..bytes.len() as u64)).expect("it is small");
        match self {
            Self::Header(_) | Self::Untrusted => return (bytes, true),
            Self::Unfinished | Self::Cut => bytes.truncate(part),
            // Both versions are wrong in the first bytes.
            Self::Garbage => bytes[part.min(4)] ^= 0x20,
            Self::Any => {
                if sim.random(0..4) == 0 {
                    bytes.clear();
                }
                bytes.extend(exchange::bytes(sim, 300));
                for _ in 0..sim.random(0..3) {
                    let place = usize::try_from(sim.random(0..400)).expect("it is small");
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte = sim.random(0..256).to_le_bytes()[0];
                    }
                }
            }
        }
        (bytes, matches!(self, Self::Garbage))
    }

    /// Returns true if the connection may end with this reason in a network without losses.
    fn permits(&self, reason: Reason) -> bool {
        match self {
            Self::Header(_) => matches!(reason, Reason::Eof | Reason::PerSource),
            Self::Untrusted | Self::Cut | Self::Garbage => reason == Reason::ProxyHeader,
            Self::Unfinished => reason == Reason::Handshake,
            Self::Any => matches!(
                reason,
                Reason::ProxyHeader | Reason::Eof | Reason::PerSource
            ),
        }
    }
}

/// A header of either version, by another codec.
pub(crate) fn header(sim: &Sim, client: SocketAddr) -> Vec<u8> {
    let to = SocketAddr::from(([198, 51, 100, 7], 443));
    if sim.random(0..2) == 0 {
        let (ip, port) = (client.ip(), client.port());
        return format!("PROXY TCP4 {ip} {} {port} 443\r\n", to.ip()).into_bytes();
    }
    let command = v2::Version::Two | v2::Command::Proxy;
    let header = v2::Builder::with_addresses(command, v2::Protocol::Stream, (client, to));
    let tlvs = exchange::bytes(sim, 200);
    let header = header.write_tlv(0xe0_u8, &tlvs).expect("it is short");
    header.build().expect("it is short")
}

/// Serves an echo behind headers.
fn serve_proxied(sim: &Sim, reasons: &Reasons, clients: &Clients) -> io::Result<Handle> {
    let (running, clients) = (Running::default(), clients.clone());
    let handler = async move |Connection {
                                  reader,
                                  writer,
                                  peer,
                              }: Connection<_, _>| {
        let client = peer.endpoint().socket_addr().expect("it has an address");
        let _guard = Guard::new(&running, client.ip());
        clients.borrow_mut().insert(port(&peer), client);
        echo(reader, writer).await
    };
    let proxy = ProxyProtocol::new(Version::Any).trust("10.0.0.0/8".parse().expect("a network"));
    let most = u32::try_from(PER_SOURCE).expect("it is small");
    let timeouts = Timeouts::default()
        .handshake(HANDSHAKE_TIMEOUT)
        .idle(IDLE_TIMEOUT);
    let record = reasons.clone();
    let server = sim
        .server()
        .timeouts(timeouts)
        .sources(Sources::default().max_connections(most))
        .on_event(move |event| {
            let (peer, reason) = match event {
                Event::Closed(closed) => (&closed.peer, closed.reason),
                Event::Refused { peer, reason, .. } => (peer, *reason),
                _ => return,
            };
            let mut record = record.lock().expect("no panic");
            record.entry(port(peer)).or_default().push(reason);
        });
    let listener = proxy.listen(sim.listen("proxied")?);
    Ok(serve(sim, server, listener, proxy.wrap(handler)))
}

async fn script(sim: Sim, counts: Rc<Cell<[usize; 3]>>, loses: bool) -> io::Result<()> {
    let reasons = Reasons::default();
    let served = Clients::default();
    let handle = serve_proxied(&sim, &reasons, &served)?;
    let clients: Vec<_> = (0..sim.random(1..6))
        .map(|_| Script::random(&sim))
        .collect();
    let (results, ended) = smol::channel::unbounded();
    for client in clients {
        let (sim, results) = (sim.clone(), results.clone());
        sim.clone().spawn(async move {
            sim.clock()
                .sleep(Duration::from_millis(sim.random(0..500)))
                .await;
            let talked = talk(&sim, &client).await;
            results.send((client, talked)).await
        });
    }
    drop(results);
    let mut talked = Vec::new();
    while let Ok(result) = ended.recv().await {
        talked.push(result);
    }
    handle.shutdown().drain();
    handle.wait_closed().await;
    check_clients(&talked, &served.borrow());
    check(&handle, &reasons, talked, &counts, loses);
    Ok(())
}

fn port(peer: &Peer) -> u16 {
    peer.transport().socket_addr().expect("it has one").port()
}

/// Sends the input of a script and then payload. Returns the port and the result.
async fn talk(sim: &Sim, script: &Script) -> Talked {
    let mut client = sim.connect_from(script.source(), "proxied").await.ok()?;
    let port = client
        .peer
        .local()
        .socket_addr()
        .expect("it has one")
        .port();
    let (header, goes_on) = script.input(sim);
    let talk = async {
        // The server may have ended the connection.
        let _ = client.writer.write_all(&header).await;
        if goes_on {
            return exchange(sim, &mut client, exchange::bytes(sim, 10_000)).await;
        }
        if let Script::Cut | Script::Any = script {
            let _ = client.writer.close().await;
        }
        let mut received = Vec::new();
        let read = client.reader.read_to_end(&mut received).await.map(drop);
        Exchanged {
            sent: Vec::new(),
            accepted: 0,
            written: Ok(()),
            received,
            read,
        }
    };
    let talked = sim.clock().timeout(CLIENT_TIMEOUT, talk).await;
    Some((port, talked.ok()))
}

/// Checks that each handler had the client of the header.
fn check_clients(talked: &[(Script, Talked)], served: &BTreeMap<u16, SocketAddr>) {
    for (script, talked) in talked {
        let port = talked.as_ref().map(|(port, _)| port);
        if let (Script::Header(client), Some(served)) =
            (script, port.and_then(|port| served.get(port)))
        {
            assert_eq!(served, client);
        }
    }
}

/// Checks each connection by its reason, and that there is exactly one.
fn check(
    server: &Handle,
    reasons: &Reasons,
    talked: Vec<(Script, Talked)>,
    counts: &Cell<[usize; 3]>,
    loses: bool,
) {
    let stats = server.stats();
    assert_eq!(stats.accepted, stats.ended.total());
    let reasons = reasons.lock().expect("no panic");
    for (script, talked) in talked {
        let Some((port, exchanged)) = talked else {
            assert!(loses, "refused");
            continue;
        };
        let of_port = reasons.get(&port).cloned().unwrap_or_default();
        let Some(&reason) = of_port.last() else {
            assert!(loses, "{script:?} has no reason");
            continue;
        };
        // A refusal behind the accept is reported, and its end, too.
        let is_twice = reason.is_refusal() && !matches!(script, Script::Untrusted);
        assert_eq!(
            of_port,
            vec![reason; 1 + usize::from(is_twice)],
            "{script:?}"
        );
        assert!(loses || script.permits(reason), "{reason} after {script:?}");
        let is_echo = exchanged.as_ref().is_some_and(|exchanged| {
            let is_any = matches!(script, Script::Any);
            assert!(is_any || exchanged.sent.starts_with(&exchanged.received));
            exchanged.is_whole() && exchanged.received == exchanged.sent
        });
        let mut all = counts.get();
        match reason {
            Reason::Eof => {
                let has_header = matches!(script, Script::Header(_));
                assert!(has_header || matches!(script, Script::Any), "{script:?}");
                assert!(loses || !has_header || is_echo);
                all[0] += 1;
            }
            Reason::PerSource => all[1] += 1,
            _ => all[2] += 1,
        }
        counts.set(all);
        if reason.is_refusal() || reason == Reason::Handshake {
            let received = exchanged.map(|exchanged| exchanged.received);
            assert_eq!(
                received.unwrap_or_default(),
                [],
                "an answer before the header"
            );
        }
    }
}

fn run(faults: Faults, loses: bool) {
    let counts = Rc::<Cell<[usize; 3]>>::default();
    Simulation::builder()
        .seeds(seeds(SEEDS))
        .faults(faults)
        .run(|sim| script(sim, counts.clone(), loses));
    let all = counts.get().iter().all(|&count| count > 10);
    assert!(all || !are_many(), "{counts:?}");
}

#[test]
fn each_connection_is_judged_by_its_header_alone() {
    run(Faults::default().max_piece(64), false);
}

#[test]
fn with_all_faults_each_connection_has_one_reason() {
    run(Faults::all().offsets(0..300), true);
}

/// The last byte of a header arrives a moment before the deadline, or after it.
#[test]
fn a_header_has_to_arrive_before_its_deadline() {
    let moment = Duration::from_nanos(1);
    for (pause, expected) in [
        (HANDSHAKE_TIMEOUT - moment, Reason::Eof),
        (HANDSHAKE_TIMEOUT + moment, Reason::Handshake),
    ] {
        let simulation = Simulation::builder().seeds(0..20).faults(Faults::none());
        simulation.run(async |sim: Sim| {
            let proxy = ProxyProtocol::new(Version::Any);
            let proxy = proxy.trust("10.0.0.0/8".parse().expect("a network"));
            let server = sim
                .server()
                .timeouts(Timeouts::default().handshake(HANDSHAKE_TIMEOUT));
            let echo = async |c: Connection<_, _>| echo(c.reader, c.writer).await;
            let (listener, handler) = (proxy.listen(sim.listen("proxied")?), proxy.wrap(echo));
            let handle = serve(&sim, server, listener, handler);
            let mut client = sim.connect_from([10, 0, 0, 1], "proxied").await?;
            let header = header(&sim, SocketAddr::from(([203, 0, 113, 1], 7)));
            let (last, first) = header.split_last().expect("it is not empty");
            client.writer.write_all(first).await?;
            sim.clock().sleep(pause).await;
            let _ = client.writer.write_all(&[*last]).await;
            let _ = client.writer.close().await;
            client.reader.read_to_end(&mut Vec::new()).await?;
            handle.shutdown().drain();
            handle.wait_closed().await;
            assert_eq!(handle.stats().ended[expected], 1);
            Ok(())
        });
    }
}
