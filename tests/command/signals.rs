//! Signals that do not end the command: statistics, and reading the rules again; and signals that
//! its parent has blocked or ignored.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use crate::common::{Client, Halves, free_port, halves, halves_after, serve, stuck, with_port};
use crate::support::place;
use crate::support::skip::skip;

#[test]
fn usr1_logs_the_statistics() {
    let mut server = serve(&["upper", "--max-per-source", "1"]);
    let at = server.at[0];
    server.signal(Signal::USR1);
    let stats = server.wait_for("stats");
    assert_eq!(stats, "stats open=0 accepted=0 in=0 out=0");

    let mut first = Client::from_source([127, 0, 0, 2], at);
    first.ask("hello");
    assert_eq!(Client::from_source([127, 0, 0, 2], at).rest(), b"");
    let mut second = Client::from_source([127, 0, 0, 3], at);
    second.ask("bye");
    second.finish();
    server.wait_for("closed conn=3 ");
    let stats = "stats open=1 accepted=3 eof=1 per_source=1 in=8 out=8";
    ask_until(&mut server, |line| line == stats);
    first.finish();
    server.end();
}

#[test]
fn usr1_logs_the_statistics_with_q_too() {
    // On an address of its own, where no other test looks for a free port.
    let port = free_port();
    let listen = format!("127.0.3.1:{port}");
    let args = ["serve", "echo", "-q", "--log=json", "--listen", &listen];
    let mut server = Halves::start(&mut halves(&args));
    let mut client = Client::connect_in_time(([127, 0, 3, 1], port).into());
    client.ask("hello");
    server.signal(Signal::HUP);
    let end = r#","event":"stats","open":1,"accepted":1,"in":5,"out":5}"#;
    ask_until(&mut server, |line| line.ends_with(end));
    let only_stats = |line: &String| line.contains(r#""event":"stats""#);
    assert!(server.log.iter().all(only_stats), "{:?}", server.log);
}

/// A client may have its answer just before the server counts it.
fn ask_until(server: &mut Halves, is_right: impl Fn(&str) -> bool) {
    let mut line = String::new();
    for _ in 0..1000 {
        server.signal(Signal::USR1);
        line = server.wait_for("");
        if is_right(&line) {
            return;
        }
    }
    panic!("{line}");
}

#[test]
fn usr1_and_hup_are_handled_in_a_drain_and_do_not_end_it() {
    let mut server = serve(&["upper"]);
    let _stuck = stuck(server.at[0]);
    server.signal(Signal::TERM);
    server.wait_for("draining connections=1 ");
    for _ in 0..3 {
        server.signal(Signal::USR1);
        let stats = server.wait_for("stats");
        assert!(stats.starts_with("stats open=1 accepted=1 in="), "{stats}");
        server.signal(Signal::HUP);
        assert_eq!(server.wait_for("reload"), "reloaded rules=0");
    }
    // Only this one is the second signal to end.
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(143));
    assert_eq!(server.count("ended finished=0 aborted=1"), 1);
}

#[test]
fn signals_that_the_parent_has_blocked_are_handled() {
    let name = "signals_that_the_parent_has_blocked_are_handled";
    let Some(mut env) = env_with("--block-signal=TERM,INT,HUP,USR1") else {
        return skip(name, "this env blocks no signals");
    };
    env.arg(env!("CARGO_BIN_EXE_halves"));
    let mut server = Halves::start(env.args(with_port(&["upper"])));
    server.wait_until_listening(1);
    let _stuck = stuck(server.at[0]);
    server.signal(Signal::USR1);
    server.wait_for("stats open=1 ");
    server.signal(Signal::HUP);
    server.wait_for("reloaded ");
    server.signal(Signal::TERM);
    server.wait_for("draining ");
    server.signal(Signal::INT);
    assert_eq!(server.code(), Some(130));
}

#[test]
fn signals_that_the_parent_has_ignored_stay_ignored() {
    let mut server = Halves::start(&mut halves_after("trap '' INT HUP", &with_port(&["upper"])));
    server.wait_until_listening(1);
    // The system drops an ignored signal when it is sent.
    server.signal(Signal::INT);
    server.signal(Signal::HUP);
    server.signal(Signal::USR1);
    server.wait_for("stats ");
    server.end();
    assert_eq!(server.count("reload"), 0, "{:#?}", server.log);
}

#[test]
fn a_log_that_reaches_the_limit_of_a_file_changes_nothing() {
    let dir = place::dir();
    let log = dir.path().join("log");
    let redirection = format!("ulimit -f 2 && exec 2>'{}'", log.display());
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let args = ["serve", "upper", "-v", "--listen", &listen];
    let mut command = halves_after(&redirection, &args);
    let mut server = Halves::without_log(command.spawn().expect("it starts"));
    let at = ([127, 0, 0, 1], port).into();
    // Some 150 bytes each.
    for _ in 0..50 {
        assert_eq!(Client::connect_in_time(at).ask("hello"), "HELLO");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(0));
    let text = fs::read_to_string(log).expect("a log");
    assert!(!text.contains(" conn=50 "), "all of it fits:\n{text}");
}

#[test]
fn an_output_that_reaches_the_limit_of_a_file_is_an_error_of_the_write() {
    let dir = place::dir();
    let [request, reply] = ["request", "reply"].map(|name| dir.path().join(name));
    fs::write(&request, vec![b'x'; 65536]).expect("a file");
    let shell = format!(
        "ulimit -f 2 && exec <'{}' >'{}'",
        request.display(),
        reply.display()
    );
    let mut server = Halves::start(&mut halves_after(&shell, &["serve", "upper", "--listen=-"]));
    let closed = server.wait_for("closed ");
    assert!(closed.contains(" reason=error "), "{closed}");
    assert!(closed.contains("File too large"), "{closed}");
    assert_eq!(server.code(), Some(1));
}

/// `env` with an option that some versions lack.
fn env_with(option: &str) -> Option<Command> {
    let tried = Command::new("env").args([option, "true"]).output();
    tried.is_ok_and(|output| output.status.success()).then(|| {
        let mut env = Command::new("env");
        env.arg(option);
        env
    })
}
