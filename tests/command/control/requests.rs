//! Requests that only look: list, show, stats, watch; and bad requests.

use std::net::Shutdown;

use serde_json::json;

use super::controlled;
use crate::common::{Client, stuck};

#[test]
fn a_list_has_each_connection_with_the_event_that_it_waits_for() {
    let server = controlled(&["upper", "--idle-timeout", "5m"]);
    let mut control = server.connect();
    assert!(control.ask("list").is_empty());

    let mut client = server.server.client();
    client.ask("hello");
    let _stuck = stuck(server.server.at[0]);
    let list = control.ask_until("list", |list| list[1]["waits"] == "write");
    assert_eq!(list.len(), 2);
    let row = &list[0];
    let peer = client.0.local_addr().expect("an address").to_string();
    let local = server.server.at[0].to_string();
    for (key, value) in [
        ("id", json!(1)),
        ("peer", json!(peer)),
        ("local", json!(local)),
        ("listener", json!(0)),
        ("phase", json!("open")),
        ("in", json!(5)),
        ("out", json!(5)),
        ("waits", json!("read")),
        ("unsent", json!(0)),
        ("deadline", json!("idle")),
    ] {
        assert_eq!(row[key], value, "{key} in {row}");
    }
    let left = row["deadline_ms"].as_u64().expect("a number");
    assert!((1..=300_000).contains(&left), "{row}");
    assert!(list[1]["unsent"].as_u64() > Some(0), "{}", list[1]);

    assert_eq!(control.ask_one("show 1")["peer"], peer);
    assert_eq!(
        control.ask_one("show 3"),
        json!({ "error": "no connection has the number 3" })
    );
}

#[test]
fn stats_are_those_of_the_server() {
    let server = controlled(&["upper", "--max-per-source", "1"]);
    let mut control = server.connect();
    let mut client = server.server.client();
    client.ask("hello");
    assert_eq!(server.server.client().rest(), b"");
    let stats = control.ask_one("stats");
    for (key, value) in [
        ("service", json!("upper")),
        ("phase", json!("serving")),
        ("open", json!(1)),
        ("accepted", json!(2)),
        ("ended", json!({ "per_source": 1 })),
        ("in", json!(5)),
        ("out", json!(5)),
        ("accept_errors", json!(0)),
    ] {
        assert_eq!(stats[key], value, "{key} in {stats}");
    }
    let listener = &stats["listeners"][0];
    assert_eq!(listener["local"], server.server.at[0].to_string());
    assert_eq!(listener["accepted"], 2);
}

#[test]
fn watch_answers_until_the_next_request() {
    let server = controlled(&["upper"]);
    let mut client = server.server.client();
    client.ask("hello");
    let mut control = server.connect();
    control.send("watch 100ms\n");
    for _ in 0..3 {
        let answer = control.answer();
        assert_eq!(answer.len(), 2, "{answer:?}");
        assert_eq!(answer[0]["open"], 1);
        assert_eq!(answer[1]["id"], 1);
    }
    control.send("show 1\n");
    // Another answer to `watch` may come first.
    let last = (0..1000).map(|_| control.answer()).find(|it| it.len() == 1);
    assert_eq!(last.expect("an answer")[0]["id"], 1);
    assert_eq!(control.ask_one("stats")["open"], 1);
}

#[test]
fn rates_are_those_since_the_last_look() {
    let server = controlled(&["upper"]);
    let mut client = server.server.client();
    client.ask("hello");
    let mut control = server.connect();
    control.ask("list");
    // The bytes before the first look no longer count.
    let list = control.ask("list");
    assert_eq!(list[0]["in_rate"], 0, "{list:?}");
    client.ask(&"x".repeat(60_000));
    let list = control.ask_until("list", |list| list[0]["in_rate"] != 0);
    assert!(list[0]["in_rate"].as_u64() > Some(0), "{list:?}");
}

#[test]
fn a_bad_request_has_an_error_and_the_next_one_an_answer() {
    let server = controlled(&["upper"]);
    let mut control = server.connect();
    for (request, problem) in [
        ("lst", "did you mean 'list'?"),
        ("kill", "the number of a connection is missing"),
        ("kill 1", "no connection has the number 1"),
        ("close 1", "no connection has the number 1"),
        ("set idle-timeout soon", "idle-timeout 'soon'"),
        ("watch 1ms", "100ms to 30s"),
    ] {
        let answer = control.ask_one(request);
        let error = answer["error"].as_str().expect("an error");
        assert!(error.contains(problem), "{request}: {error}");
    }
    control.send("\n  \nstats\r\nlist\n");
    assert_eq!(control.answer()[0]["service"], "upper");
    assert!(control.answer().is_empty());
}

#[test]
fn a_request_may_have_256_bytes() {
    let server = controlled(&["upper"]);
    let mut control = server.connect();
    let padded = format!("{:<256}", "stats");
    assert_eq!(control.ask_one(&padded)["service"], "upper");
    let answer = control.ask_one(&format!("{padded} "));
    assert_eq!(answer["error"], "a request has at most 256 bytes");
    let mut other = server.connect();
    assert_eq!(other.ask_one("stats")["open"], 0);
}

#[test]
fn a_request_that_is_cut_off_is_not_followed() {
    let server = controlled(&["upper"]);
    let mut control = server.connect();
    control.send("drain");
    let write = Shutdown::Write;
    control.0.get_ref().shutdown(write).expect("a socket");
    let answer = control.answer();
    let problem = "the request lacks its line end: it may be cut off";
    assert_eq!(answer, [json!({ "error": problem })]);
    assert_eq!(server.connect().ask_one("stats")["phase"], "serving");
}

#[test]
fn a_client_of_the_service_is_not_one_of_the_control_socket() {
    let server = controlled(&["upper"]);
    let answer = Client::new(server.server.at[0]).send(b"stats\n");
    assert_eq!(answer, b"STATS\n");
}
