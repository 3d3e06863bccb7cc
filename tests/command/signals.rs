//! Signals that do not end it: statistics, and reading the rules again.

use rustix::process::Signal;

use crate::common::{Client, Halves, free_port, halves, serve, stuck};

#[test]
fn usr1_says_what_was_and_is() {
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
fn usr1_is_answered_also_by_who_says_trouble_only() {
    // An address of its own: nobody else looks for a free port there.
    let port = free_port();
    let listen = format!("127.0.3.1:{port}");
    let args = ["serve", "echo", "-q", "--log=json", "--listen", &listen];
    let mut server = Halves::start(&mut halves(&args));
    let mut client = Client::patient(([127, 0, 3, 1], port).into());
    client.ask("hello");
    server.signal(Signal::HUP);
    let end = r#","event":"stats","open":1,"accepted":1,"in":5,"out":5}"#;
    ask_until(&mut server, |line| line.ends_with(end));
    let only_stats = |line: &String| line.contains(r#""event":"stats""#);
    assert!(server.said.iter().all(only_stats), "{:?}", server.said);
}

/// A client may have its answer an instant before the server has counted it.
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
fn they_are_heard_in_a_drain_and_do_not_end_it() {
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
    // Only now is it the second of its kind.
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(143));
    assert_eq!(server.count("ended finished=0 aborted=1"), 1);
}
