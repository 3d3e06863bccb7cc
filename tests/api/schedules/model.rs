//! One schedule: its steps, and the checks after each.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use halves::limits::Rules;
use halves::stats::Stats;
use halves::{Endpoint, Handle, Reason, Report, Shutdown};
use smol::Task;

use crate::schedules::client::Client;
use crate::schedules::handlers::{Behaviour, handle};
use crate::schedules::records::{Known, Reports};
use crate::schedules::settings::Settings;
use crate::support::harness::World;
use crate::support::harness::network::{Clients, endpoint, network_of};

const STEPS: usize = 80;
const SECOND: Duration = Duration::from_secs(1);
/// Addresses of clients. The last two are one source.
const ADDRESSES: [&str; 4] = [
    "192.0.2.1:1",
    "192.0.2.2:1",
    "[2001:db8::1]:1",
    "[2001:db8::2]:1",
];
const REFUSALS: [Reason; 3] = [Reason::Denied, Reason::PerSource, Reason::AcceptRate];

pub(crate) struct Model {
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
    /// Printed with a failure.
    pub(crate) steps: Vec<String>,
    random: Rng,
    world: World,
    start: Instant,
    network: Clients,
    /// In the order of their connections: the server numbers them so, from 1.
    clients: Vec<Client>,
    /// The address that the rules deny.
    denied: Option<&'static str>,
    /// The handle has reset connections.
    aborted: bool,
    shutdown: Shutdown,
    handle: Handle,
    serving: Task<io::Result<Report>>,
    reports: Arc<Mutex<Reports>>,
    known: BTreeMap<u64, Known>,
}

impl Model {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let settings = Settings::random(&mut random);
        let world = World::new();
        let (listener, network) = network_of(settings.bound);
        let shutdown = Shutdown::default();
        let reports = Arc::new(Mutex::new(Reports::default()));
        let recorder = reports.clone();
        let server = settings
            .server(seed)
            .shutdown(shutdown.clone())
            .clock(world.clock.clone())
            .on_event(move |event| recorder.lock().expect("no panic").record(event));
        let handle = server.handle();
        let handler = async move |connection| self::handle(seed, connection).await;
        let serving = server.serve(world.ex.clone(), listener, handler);
        Self {
            seed,
            settings,
            steps: Vec::new(),
            random,
            start: world.clock.now(),
            serving: world.ex.spawn(serving),
            world,
            network,
            clients: Vec::new(),
            denied: None,
            aborted: false,
            shutdown,
            handle,
            reports,
            known: BTreeMap::new(),
        }
    }

    pub(crate) fn run(&mut self) -> Stats {
        for _ in 0..STEPS {
            let step = self.step();
            self.steps.push(step);
            self.world.settle();
            self.check();
        }
        self.end();
        self.handle.stats()
    }

    fn now(&self) -> Duration {
        self.world.clock.now() - self.start
    }

    /// Takes a step, and returns its description.
    fn step(&mut self) -> String {
        match self.random.u16(..1000) {
            0..200 => self.connect(),
            200..650 => self.talk(),
            650..880 => self.pass(),
            880..910 => {
                let id = self.random.u64(..=self.clients.len() as u64);
                let was_open = self.handle.kill(id);
                let open = self
                    .known
                    .get(&id)
                    .is_some_and(|known| known.ended.is_none());
                assert_eq!(was_open, open);
                format!("kill {id}")
            }
            910..930 => {
                self.handle.close_clients();
                "close_clients".into()
            }
            930..940 => {
                self.aborted = true;
                self.handle.abort_clients();
                "abort_clients".into()
            }
            940..990 => self.rule(),
            990..998 => {
                self.shutdown.drain();
                "drain".into()
            }
            _ => {
                self.shutdown.abort();
                "abort".into()
            }
        }
    }

    fn connect(&mut self) -> String {
        let address = ADDRESSES[self.random.usize(..ADDRESSES.len())];
        if let Some(connection) = self.network.try_connect(address) {
            self.clients.push(Client::new(address, connection));
        }
        format!("{} connects from {address}", self.clients.len())
    }

    fn talk(&mut self) -> String {
        if self.clients.is_empty() {
            return self.connect();
        }
        // Mostly a recent one: older ones are often gone.
        let n = self.clients.len();
        let index = n - 1 - self.random.usize(..n).min(self.random.usize(..n));
        let (client, id) = (&mut self.clients[index], index + 1);
        let bytes = self.random.usize(1..=100);
        match self.random.u8(..100) {
            0..50 => {
                client.send(bytes);
                format!("{id} sends {bytes}")
            }
            50..90 => {
                client.read(2 * bytes);
                client.check(Behaviour::of(self.seed, id as u64));
                format!("{id} reads {}", 2 * bytes)
            }
            90..95 => {
                client.half_close();
                format!("{id} closes its half")
            }
            _ => {
                client.hang_up();
                format!("{id} hangs up")
            }
        }
    }

    fn pass(&mut self) -> String {
        let time = match self.random.u8(..10) {
            0..3 => Duration::from_millis(self.random.u64(..1000)),
            3..6 => SECOND * self.random.u32(1..=5),
            6..7 => SECOND * self.random.u32(5..=30),
            _ => {
                let ended = self.world.manual.advance_to_next();
                return format!("the next sleep ends: {ended}");
            }
        };
        self.world.manual.advance(time);
        format!("{time:?} pass")
    }

    fn rule(&mut self) -> String {
        let mut rules = Rules::default();
        let address = ADDRESSES[self.random.usize(..ADDRESSES.len())];
        self.denied = Some(address).filter(|_| self.random.bool());
        if let Some(denied) = self.denied {
            rules = rules.deny(
                ip(&endpoint(denied))
                    .to_string()
                    .parse()
                    .expect("an address"),
            );
        }
        self.handle.set_rules(rules);
        format!("deny {:?}", self.denied)
    }

    fn check(&mut self) {
        self.record_events();
        let connections = self.handle.connections();
        let stats = self.handle.stats();
        assert_eq!(stats.open, connections.len() as u64);
        assert!(connections.len() <= self.settings.most, "too many");
        assert_eq!(stats.accepted, stats.open + stats.ended.total());
        let refused: u64 = REFUSALS.iter().map(|&reason| stats.ended[reason]).sum();
        assert_eq!(stats.accepted, self.known.len() as u64 + refused);
        let reports = self.reports.lock().expect("no panic");
        assert!(reports.refusals(&self.known) <= refused);

        let now = self.now();
        let mut of_source = HashMap::new();
        for info in &connections {
            let known = self.known.get_mut(&info.id).expect("it was opened");
            known.is_open(info, &self.settings, now);
            *of_source.entry(source(ip(&info.peer))).or_insert(0) += 1;
        }
        let limit = self.settings.per_source;
        assert!(limit == 0 || of_source.values().all(|&open| open <= limit));

        let ended = || self.known.values().filter(|known| known.ended.is_some());
        assert_eq!(self.known.len() - ended().count(), connections.len());
        for &reason in Reason::ALL {
            let count = ended().filter(|known| known.ended == Some(reason)).count() as u64;
            assert!(
                count == stats.ended[reason] || REFUSALS.contains(&reason),
                "{reason}"
            );
        }
        let (bytes_in, bytes_out) = (
            connections.iter().map(|info| info.bytes_in),
            connections.iter().map(|info| info.bytes_out),
        );
        let bytes_in = bytes_in.chain(ended().map(|known| known.bytes.0));
        let bytes_out = bytes_out.chain(ended().map(|known| known.bytes.1));
        assert_eq!(bytes_in.sum::<u64>(), stats.bytes_in);
        assert_eq!(bytes_out.sum::<u64>(), stats.bytes_out);
    }

    /// Records the events of the server.
    fn record_events(&mut self) {
        let now = self.now();
        let mut reports = self.reports.lock().expect("no panic");
        for id in reports.opened.drain(..) {
            let known = Known::new(Behaviour::of(self.seed, id), now);
            assert!(self.known.insert(id, known).is_none(), "opened twice");
            let index = usize::try_from(id).expect("it is small") - 1;
            assert_ne!(self.denied, Some(self.clients[index].address));
        }
        for closed in reports.closed.drain(..) {
            let known = self.known.get_mut(&closed.id).expect("it was opened");
            known.end(&closed, &self.settings, now);
        }
    }

    /// Ends the server, lets all time pass, and checks that nothing is left.
    fn end(&mut self) {
        for time in [
            Duration::ZERO,
            self.settings.drain_delay,
            self.settings.drain_timeout,
        ] {
            self.shutdown.drain();
            self.world.pass(time);
            self.check();
        }
        let report = self.report();
        let stats = self.handle.stats();
        assert_eq!((stats.open, report.stats), (0, stats));
        let draining = self.reports.lock().expect("no panic").draining;
        assert_eq!(report.finished + report.aborted, draining);
        let aborted = usize::try_from(stats.ended[Reason::Aborted]).expect("it is small");
        assert!(report.aborted == aborted || self.aborted && report.aborted < aborted);
        assert!(!self.world.manual.advance_to_next(), "a task sleeps");
        for index in 0..self.clients.len() {
            self.farewell(index);
        }
    }

    fn report(&mut self) -> Report {
        let idle = self.world.ex.spawn(std::future::pending());
        let serving = std::mem::replace(&mut self.serving, idle);
        self.world.now(serving).expect("no error of the listener")
    }

    /// Checks that a client has received the end, and correct bytes before it.
    fn farewell(&mut self, index: usize) {
        let client = &mut self.clients[index];
        for _ in 0..1000 {
            client.read(1000);
        }
        let id = index as u64 + 1;
        client.check(Behaviour::of(self.seed, id));
        let known = self.known.get(&id);
        let (bytes_in, bytes_out) = known.map_or((0, 0), |known| known.bytes);
        let received = client.received() as u64;
        assert!(bytes_in <= client.sent as u64 && received <= bytes_out);
        if client.has_hung_up() {
            return;
        }
        // A client that was refused, or never accepted, receives an orderly end, too.
        let ordered = known.is_none_or(|known| {
            let either = client.end == Some(Ok(()));
            known.ends_in_order().unwrap_or(either)
        });
        let reset = Err(io::ErrorKind::ConnectionReset);
        assert_eq!(
            client.end,
            Some(if ordered { Ok(()) } else { reset }),
            "client {id}"
        );
        assert!(!ordered || received == bytes_out, "client {id}");
    }
}

fn ip(endpoint: &Endpoint) -> IpAddr {
    endpoint
        .socket_addr()
        .expect("it comes from the network")
        .ip()
}

/// An IPv4 address, or a network of 64 bits.
fn source(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}
