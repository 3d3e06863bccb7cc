//! Probes of load balancers, statistics as JSON, and the guard of names.

use rustix::process::Signal;

use super::measured;

#[test]
fn a_server_is_ready_until_a_drain_begins() {
    let mut server = measured(&["serve", "upper", "--drain-delay", "1h"]);
    let ready = server.get("/readyz");
    assert_eq!((ready.status(), &*ready.body), (200, "ready\n"));
    server.server.signal(Signal::TERM);
    server.server.wait_for("draining");
    let drained = server.get("/readyz");
    assert_eq!((drained.status(), &*drained.body), (503, "draining\n"));
    assert!(server.get("/metrics").body.contains("\nhalves_ready 0\n"));
    assert_eq!(server.json("/stats")["phase"], "draining");
    // The process is healthy, and the listener still accepts.
    assert_eq!(server.get("/healthz").status(), 200);
    assert_eq!(server.server.client().ask("late"), "LATE");
}

#[test]
fn a_drain_of_the_service_is_answered_to_its_end() {
    let mut server = measured(&["serve", "upper", "--drain-timeout", "0"]);
    let mut last = server.server.client();
    last.ask("here");
    server.server.signal(Signal::TERM);
    server.server.wait_for("draining connections=1");
    assert_eq!(server.get("/readyz").status(), 503);
    assert_eq!(server.json("/stats")["open"], 1);
    last.finish();
    assert_eq!(server.server.code(), Some(0));
}

#[test]
fn connections_are_rows_in_an_order_and_up_to_a_limit() {
    let server = measured(&["serve", "upper"]);
    let mut clients = [(); 3].map(|()| server.server.client());
    for (client, word) in clients.iter_mut().zip(["a", "abc", "ab"]) {
        client.ask(word);
    }
    server.wait_until_sent(6);
    let ids = |query: &str| {
        let rows = server.json(&format!("/connections{query}"));
        let ids = rows.as_array().expect("an array").iter();
        ids.map(|row| row["id"].as_u64().expect("a number"))
            .collect::<Vec<_>>()
    };
    for (query, expected) in [
        ("", &[1, 2, 3][..]),
        ("?", &[1, 2, 3]),
        ("?sort=bytes", &[2, 3, 1]),
        ("?sort=in", &[2, 3, 1]),
        ("?sort=out&limit=2", &[2, 3]),
        ("?sort=age", &[1, 2, 3]),
        ("?sort=id&limit=1&other", &[1]),
        ("?limit=0", &[]),
        ("?limit=10000", &[1, 2, 3]),
    ] {
        assert_eq!(ids(query), expected, "{query}");
    }
    let row = &server.json("/connections")[1];
    let peer = clients[1].0.local_addr().expect("an address");
    assert_eq!(row["peer"], peer.to_string());
    assert_eq!((&row["in"], &row["out"]), (&3.into(), &3.into()));
    assert_eq!(row["waits"], "read");
    for (query, problem) in [
        (
            "limit=10001",
            "400 Bad Request: limit: expected a number up to 10000\n",
        ),
        (
            "limit=-1",
            "400 Bad Request: limit: expected a number up to 10000\n",
        ),
        (
            "limit",
            "400 Bad Request: limit: expected a number up to 10000\n",
        ),
        (
            "sort=peer",
            "400 Bad Request: sort: expected one of id, age, bytes, in, out, idle, unsent\n",
        ),
    ] {
        let answer = server.get(&format!("/connections?{query}"));
        assert_eq!((answer.status(), &*answer.body), (400, problem));
    }
}

#[test]
fn an_unknown_path_names_those_that_there_are() {
    let server = measured(&["serve", "upper"]);
    for path in [
        "/nothing",
        "/metrics/",
        "/Metrics",
        "/../etc/passwd",
        "/%6detrics",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status(), 404, "{path}");
        assert!(
            answer.body.contains("/metrics, /healthz, /readyz"),
            "{}",
            answer.body
        );
    }
}

#[test]
fn a_name_of_another_site_is_not_answered_on_loopback() {
    let server = measured(&["serve", "upper"]);
    let request = |host: &str| {
        let text = format!("GET /connections HTTP/1.1\r\nHost: {host}\r\n\r\n");
        String::from_utf8(server.connect().send(text.as_bytes())).expect("text")
    };
    let at = server.metrics.to_string();
    assert!(request(&at).starts_with("HTTP/1.1 200 "));
    assert!(request("evil.example:80").starts_with("HTTP/1.1 421 "));
}

#[test]
fn each_kind_of_server_has_metrics() {
    for (words, service) in [
        (&["exec", "cat"][..], "exec"),
        (&["proxy", "127.0.0.1:9"], "proxy"),
    ] {
        assert_eq!(measured(words).json("/stats")["service"], service);
    }
}
