//! The log, which never holds up the service.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use rustix::net::sockopt::set_socket_linger;
use rustix::process::Signal;

use crate::common::{Client, Halves, free_port, halves, halves_after, port_in, serve, with_port};
use crate::support::skip::skip;

#[test]
fn every_connection_ends_with_one_line_and_one_reason() {
    let mut server = serve(&["upper"]);
    for n in 0..30 {
        let mut client = server.client();
        client.ask("here");
        match n % 3 {
            0 => drop(client.finish()),
            1 => drop(client),
            _ => reset(client),
        }
    }
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(0));
    for conn in 1..=30 {
        let beginning = format!("closed conn={conn} peer=127.0.0.1:");
        assert_eq!(server.count(&beginning), 1, "{:#?}", server.log);
    }
    let closed = server.log.iter().filter(|line| line.starts_with("closed"));
    for line in closed {
        assert_eq!(line.matches(" reason=").count(), 1, "{line}");
        assert!(line.contains(" in=4 out=4 ms="), "{line}");
    }
    let errors = server.log.iter().filter(|line| line.contains("error=\""));
    assert_eq!(errors.count(), 10);
    assert_eq!(server.count("opened"), 0);
}

#[test]
fn v_logs_more_and_q_logs_problems_only() {
    let mut server = serve(&["echo", "-v"]);
    let at = server.at[0];
    server.client().ask("here");
    server.wait_for("opened conn=1 peer=127.0.0.1:");
    let closed = server.wait_for("closed conn=1 peer=127.0.0.1:");
    assert!(closed.contains(&format!(" local={at} ")), "{closed}");

    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let args = [
        "serve",
        "echo",
        "-q",
        "--max-connections=1",
        "--listen",
        &listen,
    ];
    let mut server = Halves::start(&mut halves(&args));
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    Client::connect_in_time(at).ask("here");
    let mut client = Client::connect_in_time(at);
    client.ask("here");
    reset(client);
    server.wait_for("closed conn=2 ");
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(0));
    for beginning in ["listening", "  bash", "closed conn=1", "draining", "ended"] {
        assert_eq!(server.count(beginning), 0, "{beginning}");
    }
    assert!(server.count("limit reached=") >= 1);
}

#[test]
fn json_lines_are_json() {
    let mut server = Halves::start(&mut halves(&with_port(&["upper", "--log", "json", "-v"])));
    let line = server.wait_for(r#"{"ts":"#);
    server.at = vec![([127, 0, 0, 1], port_in(&line)).into()];
    let mut client = server.client();
    client.ask("here");
    reset(client);
    server.wait_for(r#"{"ts":"#);
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(0));
    for (event, field) in [
        ("listening", r#""try":"bash -c 'exec 3<>/dev/tcp/"#),
        ("opened", r#""conn":1,"peer":"127.0.0.1:"#),
        ("closed", r#""reason":"error","in":4,"out":4,"ms":"#),
        ("draining", r#""connections":0,"deadline":30}"#),
        ("ended", r#""finished":0,"aborted":0}"#),
    ] {
        let of_event = |line: &&String| line.contains(&format!(r#""event":"{event}""#));
        let line = server.log.iter().find(of_event).expect(event);
        assert!(
            line.starts_with(r#"{"ts":1"#) && line.ends_with('}'),
            "{line}"
        );
        assert!(line.contains(field), "{line}");
    }
    let load = "import json, sys\nfor line in sys.stdin: assert json.loads(line)['ts'] > 1e9";
    let python = Command::new("python3")
        .args(["-c", load])
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut python) = python else {
        return skip("json_lines_are_json", "there is no python3");
    };
    let mut input = python.stdin.take().expect("a pipe");
    input
        .write_all(server.log.join("\n").as_bytes())
        .expect("it reads");
    drop(input);
    assert!(python.wait().expect("a child").success());
}

#[test]
fn logfmt_lines_begin_with_the_time() {
    let mut server = Halves::start(&mut halves(&with_port(&["upper", "--log=logfmt"])));
    server.wait_for("ts=");
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(0));
    let [start, draining, ended] = &server.log[..] else {
        panic!("{:#?}", server.log);
    };
    assert!(start.contains(" event=listening local=127.0.0.1:"));
    assert!(start.contains(" try=\"bash -c 'exec "));
    assert!(draining.ends_with(" event=draining connections=0 deadline=30s"));
    assert!(ended.ends_with(" event=ended finished=0 aborted=0"));
}

#[test]
fn text_lines_begin_with_the_time_if_that_is_wanted() {
    let mut server = Halves::start(&mut halves(&with_port(&["upper", "--log-time"])));
    server.wait_for("20");
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(0));
    let events: Vec<_> = server
        .log
        .iter()
        .filter(|line| !line.starts_with(' '))
        .collect();
    assert_eq!(events.len(), 3, "{:#?}", server.log);
    for (line, event) in events.iter().zip(["listening", "draining", "ended"]) {
        let (time, rest) = line.split_once(' ').expect("two words");
        let shape = time.replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{line}");
        assert!(rest.starts_with(event), "{line}");
    }
}

#[test]
fn a_closed_or_full_standard_error_changes_nothing() {
    for redirection in ["exec 2>&-", "exec 2>/dev/full", "exec 2</dev/null"] {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let args = ["serve", "upper", "-v", "--listen", &listen];
        let mut command = halves_after(redirection, &args);
        let child = command.stderr(Stdio::null()).spawn().expect("it starts");
        let mut server = Halves::without_log(child);
        for _ in 0..20 {
            let mut client = Client::connect_in_time(([127, 0, 0, 1], port).into());
            assert_eq!(client.ask("hello"), "HELLO");
        }
        server.signal(Signal::TERM);
        assert_eq!(server.code(), Some(0), "{redirection}");
    }
}

#[test]
fn a_standard_error_without_a_reader_changes_nothing() {
    let (mut server, stderr) = stalled(&["upper", "-v"]);
    drop(stderr);
    for _ in 0..20 {
        assert_eq!(server.client().ask("hello"), "HELLO");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(0));
}

#[test]
fn a_stalled_standard_error_stops_neither_the_service_nor_the_end() {
    let (mut server, _stderr) = stalled(&["upper", "-v", "--log=json"]);
    // Some 300 bytes each.
    for _ in 0..500 {
        assert_eq!(server.client().ask("hello"), "HELLO");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(0));
}

#[test]
fn lines_that_a_stalled_standard_error_cost_are_counted() {
    const CLIENTS: u64 = 3000;
    let (mut server, mut stderr) = stalled(&["upper", "-v", "--log=json"]);
    for _ in 0..CLIENTS {
        assert_eq!(server.client().ask("hello"), "HELLO");
    }
    let mut lines = Vec::new();
    let reader = std::thread::spawn(move || {
        let mut line = String::new();
        while stderr.read_line(&mut line).is_ok_and(|n| n > 0) {
            lines.push(std::mem::take(&mut line));
        }
        lines
    });
    server.signal(Signal::TERM);
    assert_eq!(server.code(), Some(0));
    let lines = reader.join().expect("no panic");
    let count = |event: &str| lines.iter().filter(|line| line.contains(event)).count() as u64;
    let dropped = lines.iter().filter_map(|line| {
        let (_, rest) = line.split_once(r#""event":"log","dropped":"#)?;
        rest.trim_end().strip_suffix('}')?.parse::<u64>().ok()
    });
    let dropped: u64 = dropped.sum();
    assert!(dropped > 0, "all {} lines came through", lines.len());
    let logged = count(r#""event":"opened""#) + count(r#""event":"closed""#);
    let end = count(r#""event":"draining""#) + count(r#""event":"ended""#);
    assert_eq!(logged + end + dropped, 2 * CLIENTS + 2);
}

/// A server. Its standard error is read as far as the line with its address.
fn stalled(args: &[&str]) -> (Halves, impl BufRead + Send + 'static) {
    let mut child = halves(&with_port(args))
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // A small buffer, as its bytes are not in the pipe any more.
    let mut stderr = BufReader::with_capacity(64, child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("a line");
    let mut server = Halves::without_log(child);
    server.at = vec![([127, 0, 0, 1], port_in(&line)).into()];
    (server, stderr)
}

/// Ends the connection with a reset, which is an error for its handler.
fn reset(client: Client) {
    set_socket_linger(&client.0, Some(std::time::Duration::ZERO)).expect("a socket");
    drop(client);
}
