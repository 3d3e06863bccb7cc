//! The texts of `/metrics`, for readers of both forms.

use std::io::Write;
use std::process::{Command, Stdio};

use super::checker::{Form, Samples, check};
use super::{Answer, Measured, measured};
use crate::session::lacks;
use crate::support::skip::skip;

const OPEN_METRICS: &str = "Accept: application/openmetrics-text; version=1.0.0\r\n";

/// The families of the documentation.
const NAMES: &[&str] = &[
    "halves_connections_open",
    "halves_connections_accepted_total",
    "halves_received_bytes_total",
    "halves_sent_bytes_total",
    "halves_unsent_bytes_total",
    "halves_accept_errors_total",
    "halves_limit_episodes_total",
    "halves_connection_age_seconds_count",
    "halves_connection_received_bytes_count",
    "halves_connection_sent_bytes_count",
    "halves_ready",
];

/// The families of the process, which Linux reports.
const PROCESS_NAMES: &[&str] = &[
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_threads",
    "process_start_time_seconds",
    "process_open_fds",
    "process_max_fds",
];

fn samples(answer: &Answer, form: Form) -> Samples {
    assert_eq!(answer.status(), 200);
    check(&answer.body, form)
}

/// A server on a Unix socket with characters that are escaped too, after two connections.
fn after_traffic() -> (Measured, tempfile::TempDir) {
    let folder = crate::support::place::dir();
    let path = folder.path().join(r#"a"b\x.sock"#);
    let path = path.to_str().expect("UTF-8");
    let escaped = path.replace('\\', r"\\");
    let mut server = measured(&["serve", "upper", "--listen", &escaped]);
    for _ in 0..2 {
        let mut client = server.server.client();
        client.ask("hello");
        client.finish();
        server.server.wait_for("closed");
    }
    (server, folder)
}

#[test]
fn both_forms_have_all_families() {
    let (server, _folder) = after_traffic();
    let open_metrics = server.get_with("/metrics", OPEN_METRICS);
    let prometheus = server.get("/metrics");
    for (answer, content_type) in [
        (
            &open_metrics,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        (&prometheus, "text/plain; version=0.0.4; charset=utf-8"),
    ] {
        assert_eq!(answer.field("Content-Type"), content_type);
    }
    let open_metrics = samples(&open_metrics, Form::OpenMetrics);
    let prometheus = samples(&prometheus, Form::Prometheus);
    assert!(open_metrics.keys().eq(prometheus.keys()));
    for name in NAMES {
        assert!(prometheus.contains_key(*name), "{name}");
    }
    for reason in halves::Reason::ALL {
        let key = format!("halves_connections_ended_total{{reason={reason}}}");
        assert!(prometheus.contains_key(&key), "{key}");
    }
    let version = concat!("halves_build_info{version=", env!("CARGO_PKG_VERSION"), "}");
    assert_eq!(prometheus[version], "1");
    if cfg!(target_os = "linux") {
        for name in PROCESS_NAMES {
            assert!(prometheus.contains_key(*name), "{name}");
        }
    }
}

#[test]
fn the_samples_are_those_of_the_connections() {
    let (server, folder) = after_traffic();
    let mut open = server.server.client();
    open.ask("hi");
    server.wait_until_sent(12);
    let samples = samples(&server.get("/metrics"), Form::Prometheus);
    for (key, value) in [
        ("halves_connections_open", "1"),
        ("halves_connections_accepted_total", "3"),
        ("halves_connections_ended_total{reason=eof}", "2"),
        ("halves_connections_ended_total{reason=idle}", "0"),
        ("halves_received_bytes_total", "12"),
        ("halves_sent_bytes_total", "12"),
        ("halves_connection_age_seconds_count", "2"),
        ("halves_connection_received_bytes_sum", "10.0"),
        ("halves_connection_sent_bytes_bucket{le=64.0}", "2"),
        ("halves_ready", "1"),
    ] {
        assert_eq!(samples[key], value, "{key}");
    }
    let tcp = server.server.at[0];
    let of_listener =
        |name: &str| samples[&format!("halves_listener_{name}{{index=0,listener={tcp}}}")].as_str();
    assert_eq!(of_listener("connections_open"), "1");
    assert_eq!(of_listener("connections_accepted_total"), "3");
    assert_eq!(of_listener("connections_ended_total"), "2");
    assert_eq!(of_listener("received_bytes_total"), "12");
    assert_eq!(of_listener("sent_bytes_total"), "12");
    let path = folder.path().display();
    let unix = samples
        .keys()
        .filter(|key| key.contains(&format!("listener=unix:{path}")));
    assert_eq!(unix.count(), 5);
}

#[test]
fn promtool_accepts_the_text() {
    let name = "promtool_accepts_the_text";
    if lacks("promtool", name) {
        return;
    }
    let (server, _folder) = after_traffic();
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]);
    accepts(&mut command, &server.get("/metrics").body);
}

#[test]
fn the_parser_of_prometheus_client_accepts_the_text() {
    let name = "the_parser_of_prometheus_client_accepts_the_text";
    if lacks("python3", name) {
        return;
    }
    let import = Command::new("python3")
        .args(["-c", "import prometheus_client"])
        .output();
    if !import.is_ok_and(|output| output.status.success()) {
        return skip(name, "python3 has no prometheus_client");
    }
    let (server, _folder) = after_traffic();
    let parse = "import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
assert len(list(parse(sys.stdin.read()))) > 20";
    let mut command = Command::new("python3");
    command.args(["-c", parse]);
    accepts(
        &mut command,
        &server.get_with("/metrics", OPEN_METRICS).body,
    );
}

/// Asserts that a program reads a text, has no remark, and exits with 0.
fn accepts(command: &mut Command, text: &str) {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    assert_eq!([output.stdout, output.stderr].concat(), b"", "remarks");
}
