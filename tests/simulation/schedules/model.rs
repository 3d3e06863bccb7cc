//! One schedule: its steps, and the checks after each.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use halves::limits::Rules;
use halves::stats::Stats;
use halves::testing::Sim;
use halves::{Handle, Reason, Report, Shutdown};
use smol::channel::{Receiver, bounded};

use crate::schedules::client::Client;
use crate::schedules::handlers::{Behaviour, handle};
use crate::schedules::records::{Known, Reports};
use crate::schedules::settings::Settings;

const STEPS: usize = 80;
const SECOND: Duration = Duration::from_secs(1);
/// A pause in which every task runs until it waits.
const MOMENT: Duration = Duration::from_nanos(1);
/// Addresses of clients. The last two are one source.
const ADDRESSES: [&str; 4] = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"];
const REFUSALS: [Reason; 3] = [Reason::Denied, Reason::PerSource, Reason::AcceptRate];

pub(crate) struct Model {
    sim: Sim,
    settings: Settings,
    random: Rng,
    /// The time at which the last step began.
    began: Duration,
    /// In the order of their connections: the server numbers them so, from 1.
    clients: Vec<Client>,
    /// The address that the rules deny.
    denied: Option<IpAddr>,
    /// The handle has reset connections.
    aborted: bool,
    shutdown: Shutdown,
    handle: Handle,
    report: Receiver<io::Result<Report>>,
    reports: Arc<Mutex<Reports>>,
    known: BTreeMap<u64, Known>,
}

impl Model {
    pub(crate) fn new(sim: Sim) -> io::Result<Self> {
        let (seed, mut random) = (sim.seed(), Rng::with_seed(sim.seed()));
        let settings = Settings::random(&mut random);
        sim.note(format!("{settings:?}"));
        let shutdown = Shutdown::default();
        let reports = Reports::new(sim.clock().clone());
        let reports = Arc::new(Mutex::new(reports));
        let recorder = reports.clone();
        // Not that of the simulation: handlers panic.
        let server = settings
            .server(seed)
            .shutdown(shutdown.clone())
            .clock(sim.clock().clone())
            .on_event(move |event| recorder.lock().expect("no panic").record(event));
        let handle = server.handle();
        let handler = async move |connection| self::handle(seed, connection).await;
        let serving = server.serve(sim.clone(), sim.listen("server")?, handler);
        let (send, report) = bounded(1);
        sim.spawn(async move { send.send(serving.await).await });
        Ok(Self {
            sim,
            settings,
            random,
            began: Duration::ZERO,
            clients: Vec::new(),
            denied: None,
            aborted: false,
            shutdown,
            handle,
            report,
            reports,
            known: BTreeMap::new(),
        })
    }

    pub(crate) async fn run(&mut self) -> Stats {
        for _ in 0..STEPS {
            self.began = self.now();
            let step = self.step().await;
            self.sim.note(step);
            self.pass_time(MOMENT).await;
            self.check();
        }
        self.end().await;
        self.handle.stats()
    }

    fn now(&self) -> Duration {
        self.reports.lock().expect("no panic").now()
    }

    async fn pass_time(&self, time: Duration) {
        self.sim.clock().sleep(time).await;
    }

    /// Takes a step, and returns its description.
    async fn step(&mut self) -> String {
        match self.random.u16(..1000) {
            0..200 => self.connect().await,
            200..650 => self.talk().await,
            650..880 => self.pass().await,
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

    async fn connect(&mut self) -> String {
        let address = self.address();
        if let Ok(connection) = self.sim.connect_from(address, "server").await {
            self.clients.push(Client::new(address, connection));
        }
        format!("{} connects from {address}", self.clients.len())
    }

    fn address(&mut self) -> IpAddr {
        let address = ADDRESSES[self.random.usize(..ADDRESSES.len())];
        address.parse().expect("an address")
    }

    async fn talk(&mut self) -> String {
        if self.clients.is_empty() {
            return self.connect().await;
        }
        // Mostly a recent one: older ones are often gone.
        let n = self.clients.len();
        let index = n - 1 - self.random.usize(..n).min(self.random.usize(..n));
        let (client, id) = (&mut self.clients[index], index + 1);
        let bytes = self.random.usize(1..=100);
        match self.random.u8(..100) {
            0..50 => {
                client.send(bytes).await;
                format!("{id} sends {bytes}")
            }
            50..90 => {
                client.read(2 * bytes).await;
                client.check(Behaviour::of(self.sim.seed(), id as u64));
                format!("{id} reads {}", 2 * bytes)
            }
            90..95 => {
                client.half_close().await;
                format!("{id} closes its half")
            }
            _ => {
                client.hang_up();
                format!("{id} hangs up")
            }
        }
    }

    /// Lets time pass. Each deadline in it is met at its time.
    async fn pass(&mut self) -> String {
        let time = match self.random.u8(..10) {
            0..3 => Duration::from_millis(self.random.u64(..1000)),
            3..8 => SECOND * self.random.u32(1..=5),
            _ => SECOND * self.random.u32(5..=30),
        };
        self.pass_time(time).await;
        format!("{time:?} pass")
    }

    fn rule(&mut self) -> String {
        let mut rules = Rules::default();
        let address = self.address();
        self.denied = Some(address).filter(|_| self.random.bool());
        if let Some(denied) = self.denied {
            rules = rules.deny(denied.to_string().parse().expect("an address"));
        }
        self.handle.set_rules(rules);
        format!("deny {:?}", self.denied)
    }

    fn check(&mut self) {
        self.record_events();
        let now = self.now();
        let connections = self.handle.connections();
        let stats = self.handle.stats();
        assert_eq!(stats.open, connections.len() as u64);
        assert!(connections.len() <= self.settings.most, "too many");
        assert_eq!(stats.accepted, stats.open + stats.ended.total());
        let refused: u64 = REFUSALS.iter().map(|&reason| stats.ended[reason]).sum();
        assert_eq!(stats.accepted, self.known.len() as u64 + refused);
        let reports = self.reports.lock().expect("no panic");
        assert!(reports.refusals(&self.known) <= refused);

        let mut of_source = HashMap::new();
        for info in &connections {
            let known = self.known.get_mut(&info.id).expect("it was opened");
            known.is_open(info, &self.settings, self.began, now);
            *of_source
                .entry(source(info.peer.socket_addr().expect("it has one").ip()))
                .or_insert(0) += 1;
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
        let mut reports = self.reports.lock().expect("no panic");
        for (id, at) in reports.opened.drain(..) {
            let known = Known::new(Behaviour::of(self.sim.seed(), id), at);
            assert!(self.known.insert(id, known).is_none(), "opened twice");
            let index = usize::try_from(id).expect("it is small") - 1;
            assert_ne!(self.denied, Some(self.clients[index].address));
        }
        for closed in reports.closed.drain(..) {
            let known = self.known.get_mut(&closed.id).expect("it was opened");
            known.end(&closed, &self.settings, self.began);
        }
    }

    /// Ends the server, lets all time pass, and checks that nothing is left.
    async fn end(&mut self) {
        for time in [
            Duration::ZERO,
            self.settings.drain_delay,
            self.settings.drain_timeout,
        ] {
            self.began = self.now();
            self.shutdown.drain();
            self.pass_time(time).await;
            self.pass_time(MOMENT).await;
            self.check();
        }
        let report = self.report.try_recv().expect("the server has ended");
        let report = report.expect("no error of the listener");
        let stats = self.handle.stats();
        assert_eq!((stats.open, report.stats), (0, stats));
        let draining = self.reports.lock().expect("no panic").draining;
        assert_eq!(report.finished + report.aborted, draining);
        let aborted = usize::try_from(stats.ended[Reason::Aborted]).expect("it is small");
        assert!(report.aborted == aborted || self.aborted && report.aborted < aborted);
        assert_eq!(self.sim.tasks(), 0, "a task is left");
        for index in 0..self.clients.len() {
            self.farewell(index).await;
        }
    }

    /// Checks that a client has received the end, and correct bytes before it.
    async fn farewell(&mut self, index: usize) {
        let client = &mut self.clients[index];
        for _ in 0..1000 {
            client.read(1000).await;
        }
        let id = index as u64 + 1;
        client.check(Behaviour::of(self.sim.seed(), id));
        let known = self.known.get(&id);
        let (bytes_in, bytes_out) = known.map_or((0, 0), |known| known.bytes);
        let received = client.received() as u64;
        assert!(bytes_in <= client.sent as u64 && received <= bytes_out);
        if client.has_hung_up() {
            return;
        }
        let ordered = match known {
            Some(known) => {
                let either = client.end == Some(Ok(()));
                known.ends_in_order().unwrap_or(either)
            }
            // One that was refused receives an orderly end, one that was never accepted a reset.
            None => id <= self.handle.stats().accepted,
        };
        let reset = Err(io::ErrorKind::ConnectionReset);
        assert_eq!(
            client.end,
            Some(if ordered { Ok(()) } else { reset }),
            "client {id}"
        );
        assert!(!ordered || received == bytes_out, "client {id}");
    }
}

/// An IPv4 address, or a network of 64 bits.
fn source(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}
