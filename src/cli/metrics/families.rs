//! The families of `/metrics`.

use halves::server::ListenerStats;
use halves::stats::{Histogram, Histograms, Stats};
use halves::{Handle, Reason};

use super::accept::Form;
use super::exposition::{Exposition, Family};
use super::process::Process;

/// A figure of a listener.
type Figure = fn(&ListenerStats) -> u64;

/// The counters of each listener.
const LISTENER_COUNTERS: &[(&str, &str, Figure)] = &[
    (
        "halves_listener_connections_accepted",
        "Connections that were accepted, by listener.",
        |listener| listener.accepted,
    ),
    (
        "halves_listener_connections_ended",
        "Connections that ended, by listener.",
        |listener| listener.ended,
    ),
    (
        "halves_listener_received_bytes",
        "Bytes received, by listener.",
        |listener| listener.bytes_in,
    ),
    (
        "halves_listener_sent_bytes",
        "Bytes sent, by listener.",
        |listener| listener.bytes_out,
    ),
];

/// The state of a server at one moment.
struct Snapshot {
    stats: Stats,
    listeners: Vec<ListenerStats>,
    histograms: Histograms,
    is_ready: bool,
}

/// Returns the text of `/metrics`.
pub(super) fn text(handle: &Handle, form: Form) -> String {
    let snapshot = Snapshot {
        stats: handle.stats(),
        listeners: handle.listeners(),
        histograms: handle.histograms(),
        is_ready: handle.is_ready(),
    };
    let mut text = Exposition::new(form);
    snapshot.write(&mut text);
    Process::now().write(&mut text);
    text.finish()
}

impl Snapshot {
    fn write(&self, to: &mut Exposition) {
        self.write_server(to);
        self.write_listeners(to);
        write_histogram(
            to,
            "halves_connection_age_seconds",
            "Time for which connections that ended were open.",
            &self.histograms.age,
            |age| age.as_secs_f64(),
        );
        write_histogram(
            to,
            "halves_connection_received_bytes",
            "Bytes that connections that ended received.",
            &self.histograms.bytes_in,
            bytes,
        );
        write_histogram(
            to,
            "halves_connection_sent_bytes",
            "Bytes that connections that ended sent.",
            &self.histograms.bytes_out,
            bytes,
        );
        to.gauge(
            "halves_ready",
            "1 if load balancers should send clients, else 0.",
        )
        .sample(&[], u8::from(self.is_ready));
        to.info("halves_build", "Version of the server.")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    }

    fn write_server(&self, to: &mut Exposition) {
        let stats = &self.stats;
        to.gauge("halves_connections_open", "Connections that are open.")
            .sample(&[], stats.open);
        to.counter(
            "halves_connections_accepted",
            "Connections that were accepted.",
        )
        .sample(&[], stats.accepted);
        let help = "Connections that ended, by reason.";
        let mut ended = to.counter("halves_connections_ended", help);
        for &reason in Reason::ALL {
            ended.sample(&[("reason", reason.as_str())], stats.ended[reason]);
        }
        to.counter(
            "halves_received_bytes",
            "Bytes received by all connections.",
        )
        .sample(&[], stats.bytes_in);
        to.counter("halves_sent_bytes", "Bytes sent by all connections.")
            .sample(&[], stats.bytes_out);
        let help = "Bytes that buffered writers still held when they were dropped.";
        to.counter("halves_unsent_bytes", help)
            .sample(&[], stats.bytes_unsent);
        to.counter("halves_accept_errors", "Accepts that failed.")
            .sample(&[], stats.accept_errors);
        let help = "Times that a limit began to hold new connections back.";
        to.counter("halves_limit_episodes", help)
            .sample(&[], stats.limit_episodes);
    }

    fn write_listeners(&self, to: &mut Exposition) {
        let help = "Connections that are open, by listener.";
        let family = to.gauge("halves_listener_connections_open", help);
        self.write_each(family, |listener| listener.open);
        for (name, help, figure) in LISTENER_COUNTERS {
            self.write_each(to.counter(name, help), *figure);
        }
    }

    /// Writes a sample for each listener. Its index makes the labels unique: two listeners of a
    /// `reuse-port` group have one address.
    fn write_each(&self, mut family: Family<'_>, figure: Figure) {
        for (index, listener) in self.listeners.iter().enumerate() {
            let (index, address) = (index.to_string(), listener.local.to_string());
            family.sample(
                &[("index", &index), ("listener", &address)],
                figure(listener),
            );
        }
    }
}

fn write_histogram<T: Copy + PartialOrd>(
    to: &mut Exposition,
    name: &str,
    help: &str,
    histogram: &Histogram<T>,
    value: fn(T) -> f64,
) {
    let cumulative = histogram
        .cumulative()
        .map(|(bound, count)| (value(bound), count));
    to.histogram(
        name,
        help,
        cumulative,
        histogram.total(),
        value(histogram.sum()),
    );
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the form has floating-point numbers"
)]
fn bytes(bytes: u64) -> f64 {
    bytes as f64
}
