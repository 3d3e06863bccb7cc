//! Clients that do not speak TLS, and those that say nothing.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use rustix::process::Signal;

use super::Files;
use super::openssl::{client, is_served, quit};
use crate::common::run_to_end;
use crate::session::lacks;

#[test]
fn what_is_not_tls_is_one_line_with_the_error() {
    let files = Files::new();
    let mut server = files.serve(&["upper"]);
    for (sent, error) in [
        (
            &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            "not TLS: it looks like HTTP",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not TLS: it looks like SSH"),
        (b"hello\n", r"not TLS: it begins with 'hello\\n'"),
        (
            b"\xff\0\xe2\x80\xae",
            r"not TLS: it begins with '\\xff\\x00\\xe2\\x80\\xae'",
        ),
        (
            b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
            "not TLS: it looks like a PROXY header",
        ),
        (b"", "the stream ended during the TLS handshake"),
        (
            b"\x16\x03\x01\x02",
            "the stream ended during the TLS handshake",
        ),
    ] {
        let answer = server.client().send(sent);
        // An alert, and nothing else.
        assert!(
            answer.is_empty() || answer.starts_with(b"\x15\x03"),
            "{answer:?}"
        );
        let refused = server.wait_for("refused");
        let end = format!(" reason=tls error=\"{error}\"");
        assert!(refused.ends_with(&end), "{refused}");
    }
    server.end();
    assert_eq!(server.count("closed"), 0, "{:#?}", server.log);
    assert!(server.has_logged("ended finished=0 aborted=0 refused=7"));
}

#[test]
fn plain_http_of_curl_is_refused() {
    if lacks("curl", "plain_http_of_curl_is_refused") {
        return;
    }
    let files = Files::new();
    let mut server = files.serve(&["upper"]);
    let mut curl = Command::new("curl");
    curl.args(["-q", "--silent", "--noproxy", "*"]);
    curl.arg(format!("http://{}/", server.at[0]));
    assert!(!run_to_end(&mut curl).status.success());
    let refused = server.wait_for("refused");
    let end = " reason=tls error=\"not TLS: it looks like HTTP\"";
    assert!(refused.ends_with(end), "{refused}");
}

#[test]
fn a_flood_of_garbage_is_counted_and_not_logged() {
    let files = Files::new();
    let mut server = files.serve(&["upper"]);
    for _ in 0..200 {
        server.client().send(b"hello\n");
    }
    server.wait_for("suppressed");
    server.signal(Signal::USR1);
    let stats = server.wait_for("stats");
    assert!(
        stats.starts_with("stats open=0 accepted=200 tls=200 "),
        "{stats}"
    );
    server.end();
    let suppressed = server.log.iter().filter_map(|line| {
        let count = line.strip_prefix("suppressed refused=")?;
        count.parse::<usize>().ok()
    });
    let (logged, suppressed) = (server.count("refused"), suppressed.sum::<usize>());
    assert!(logged >= 10, "{:#?}", server.log);
    assert_eq!(logged + suppressed, 200, "{:#?}", server.log);
}

#[test]
fn silent_clients_do_not_delay_another() {
    if lacks("openssl", "silent_clients_do_not_delay_another") {
        return;
    }
    let files = Files::new();
    // None of the handshakes below ends before the test does.
    let mut server = files.serve(&["upper", "--handshake-timeout", "1h"]);
    let silent = (0..200).map(|n| {
        let mut client = TcpStream::connect(server.at[0]).expect("it accepts");
        let part = &b"\x16\x03\x01\x02\0\x01"[..n % 7];
        client.write_all(part).expect("it reads");
        client
    });
    let silent: Vec<_> = silent.collect();
    let mut client = client(&files, &server, &[]);
    is_served(&mut client);
    server.signal(Signal::USR1);
    let stats = server.wait_for("stats");
    assert!(stats.starts_with("stats open=201 accepted=201 "), "{stats}");
    quit(client);
    drop(silent);
    server.end();
    assert!(
        server.has_logged(" aborted=0 refused=200"),
        "{:#?}",
        server.log
    );
}
