//! The notify protocol of systemd, with a service manager of the test.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustix::net::{RecvFlags, recv};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

use crate::common::{Client, Halves, TIMEOUT, halves, halves_after, stuck, with_port};
use crate::support::place;

/// A service manager that only receives.
pub(crate) struct Manager {
    pub(crate) socket: UnixDatagram,
    /// As in `NOTIFY_SOCKET`.
    pub(crate) name: String,
    /// Every assignment so far.
    assignments: Vec<String>,
    _dir: Option<TempDir>,
}

impl Manager {
    pub(crate) fn at_a_path() -> Self {
        let dir = place::dir();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Self::new(socket, path.display().to_string(), Some(dir))
    }

    fn with_an_abstract_name() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("halves-test-{}-{count}", process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        Self::new(socket, format!("@{name}"), None)
    }

    fn new(socket: UnixDatagram, name: String, dir: Option<TempDir>) -> Self {
        socket.set_read_timeout(Some(TIMEOUT)).expect("a socket");
        Self {
            socket,
            name,
            assignments: Vec::new(),
            _dir: dir,
        }
    }

    fn start(&self, command: &mut Command) -> Halves {
        let mut server = Halves::start(command.env("NOTIFY_SOCKET", &self.name));
        server.wait_until_listening(1);
        server
    }

    fn serve(&self, args: &[&str]) -> Halves {
        self.start(&mut halves(&with_port(args)))
    }

    /// Waits for a message, and returns its assignments.
    pub(crate) fn message(&mut self) -> Vec<String> {
        let mut buf = [0; 4096];
        // A socket with a timeout ends a wait when a signal of another test is handled: signal(7).
        let (length, _) =
            rustix::io::retry_on_intr(|| recv(&self.socket, &mut buf, RecvFlags::empty()))
                .unwrap_or_else(|error| {
                    panic!("nothing more came after {:#?}: {error}", self.assignments);
                });
        let text = str::from_utf8(&buf[..length]).expect("text");
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        self.assignments.extend(lines.iter().cloned());
        lines
    }

    /// Waits for a message that contains an assignment with this beginning, and returns the
    /// message.
    pub(crate) fn wait_for(&mut self, beginning: &str) -> Vec<String> {
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            let message = self.message();
            if message.iter().any(|line| line.starts_with(beginning)) {
                return message;
            }
        }
        panic!("'{beginning}' never came, but {:#?}", self.assignments);
    }

    /// All remaining assignments, once the command has ended.
    pub(crate) fn rest(mut self) -> Vec<String> {
        self.socket.set_nonblocking(true).expect("a socket");
        let mut buf = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buf) {
            let text = str::from_utf8(&buf[..length]).expect("text");
            self.assignments.extend(text.lines().map(str::to_owned));
        }
        self.assignments
    }
}

fn monotonic_micros() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

#[test]
fn every_state_is_reported() {
    let mut manager = Manager::at_a_path();
    let mut server = manager.serve(&["upper", "--drain-timeout", "12"]);
    let ready = manager.message();
    assert_eq!(
        ready,
        ["READY=1", "STATUS=serving open=0 accepted=0 refused=0"]
    );
    let _stuck = stuck(server.at[0]);
    manager.wait_for("STATUS=serving open=1 accepted=1 refused=0");

    let before = monotonic_micros();
    server.signal(Signal::HUP);
    let reloading = manager.wait_for("RELOADING=1");
    let micros = reloading[1].strip_prefix("MONOTONIC_USEC=").expect("it");
    let micros: i64 = micros.parse().expect("a number");
    assert!((before..=monotonic_micros()).contains(&micros));
    assert_eq!(manager.message(), ["READY=1"]);
    server.wait_for("reloaded rules=0");

    server.signal(Signal::TERM);
    assert_eq!(
        manager.message(),
        [
            "STOPPING=1",
            "STATUS=draining open=1 accepted=1 refused=0",
            "EXTEND_TIMEOUT_USEC=15000000"
        ]
    );
    let more = manager.message();
    let micros = more[0].strip_prefix("EXTEND_TIMEOUT_USEC=").expect("it");
    let micros: u64 = micros.parse().expect("a number");
    assert!((5_000_000..=12_000_000).contains(&micros), "{micros}");
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(143));
    let lines = manager.rest();
    assert_eq!(lines.iter().filter(|line| *line == "STOPPING=1").count(), 1);
    assert!(!lines.iter().any(|line| line.starts_with("WATCHDOG")));
}

#[test]
fn a_manager_may_have_an_abstract_name() {
    let mut manager = Manager::with_an_abstract_name();
    let mut server = manager.serve(&["upper"]);
    assert_eq!(manager.message()[0], "READY=1");
    server.signal(Signal::TERM);
    assert_eq!(manager.message()[0], "STOPPING=1");
    assert_eq!(server.code(), Some(0));
}

#[test]
fn stopping_is_reported_before_the_delay() {
    let mut manager = Manager::at_a_path();
    let mut server = manager.serve(&["upper", "--drain-delay", "1h"]);
    server.signal(Signal::TERM);
    let stopping = manager.wait_for("STOPPING=1");
    assert_eq!(stopping[2], "EXTEND_TIMEOUT_USEC=15000000");
    assert_eq!(server.client().ask("here"), "HERE");
    // A server that ends is not ready again.
    server.signal(Signal::HUP);
    server.wait_for("reloaded rules=0");
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(143));
    let lines = manager.rest();
    assert_eq!(lines.iter().filter(|line| *line == "READY=1").count(), 1);
    assert!(!lines.contains(&"RELOADING=1".to_owned()));
}

#[test]
fn the_shortest_end_is_reported_too() {
    for _ in 0..10 {
        let manager = Manager::at_a_path();
        let mut server = manager.serve(&["upper"]);
        server.end();
        let lines = manager.rest();
        assert!(lines.contains(&"STOPPING=1".to_owned()), "{lines:?}");
    }
    let manager = Manager::at_a_path();
    let mut command = halves(&["serve", "upper", "--listen", "-"]);
    let command = command.stdin(process::Stdio::null());
    let mut server = Halves::start(command.env("NOTIFY_SOCKET", &manager.name));
    assert_eq!(server.code(), Some(0));
    let lines = manager.rest();
    assert_eq!(lines[0], "READY=1");
    assert_eq!(lines.last().map(String::as_str), Some("STOPPING=1"));
}

#[test]
fn a_watchdog_for_this_process_receives_signs_of_life() {
    let usec = "export WATCHDOG_USEC=200000";
    for shell in [usec, &format!("{usec} WATCHDOG_PID=$$")] {
        let mut manager = Manager::at_a_path();
        let args = with_port(&["upper"]);
        let mut server = manager.start(&mut halves_after(shell, &args));
        for _ in 0..5 {
            manager.wait_for("WATCHDOG=1");
        }
        server.end();
    }
}

#[test]
fn a_watchdog_for_another_process_receives_nothing() {
    let shells = [
        "export WATCHDOG_USEC=2000 WATCHDOG_PID=1",
        "export WATCHDOG_USEC=0",
        "export WATCHDOG_USEC=soon",
    ];
    let started = shells.map(|shell| {
        let manager = Manager::at_a_path();
        let args = with_port(&["upper"]);
        let server = manager.start(&mut halves_after(shell, &args));
        let client = server.client();
        (shell, manager, server, client)
    });
    for (shell, mut manager, mut server, client) in started {
        // Some five seconds later.
        manager.wait_for("STATUS=serving open=1 ");
        drop(client);
        server.end();
        let lines = manager.rest();
        assert!(!lines.contains(&"WATCHDOG=1".to_owned()), "{shell}");
    }
}

#[test]
fn a_manager_that_is_not_there_changes_nothing() {
    for (name, problem) in [
        ("/nosuch/notify", "No such file"),
        ("notify", "neither a path"),
        ("@halves-nobody-has-this-name", "Connection refused"),
    ] {
        let mut command = halves(&with_port(&["upper"]));
        let mut server = Halves::start(command.env("NOTIFY_SOCKET", name));
        let line = server.wait_for("notify_failed");
        let beginning = format!("notify_failed socket={name} error=\"{problem}");
        assert!(line.starts_with(&beginning), "{line}");
        server.signal(Signal::HUP);
        server.wait_for("reloaded");
        server.end();
        assert_eq!(server.count("notify_failed"), 1);
    }
}

#[test]
fn a_manager_that_does_not_receive_holds_up_nothing() {
    let manager = Manager::at_a_path();
    let talker = UnixDatagram::unbound().expect("a socket");
    talker.set_nonblocking(true).expect("a socket");
    // Until there is no room.
    while talker.send_to(b"X=1", &manager.name).is_ok() {}
    let mut server = manager.serve(&["upper"]);
    let mut client: Client = server.client();
    assert_eq!(client.ask("here"), "HERE");
    server.signal(Signal::HUP);
    server.wait_for("reloaded rules=0");
    drop(client);
    server.end();
}
