//! Limits of one source, which do not affect other sources.

use crate::common::{Client, serve};

#[test]
fn fifty_of_one_source_do_not_refuse_another() {
    let mut server = serve(&["upper", "--max-per-source", "50"]);
    let at = server.at[0];
    let mut clients: Vec<_> = (0..50)
        .map(|_| Client::from_source([127, 0, 0, 2], at))
        .collect();
    for client in &mut clients {
        assert_eq!(client.ask("here"), "HERE");
    }
    assert_eq!(Client::from_source([127, 0, 0, 2], at).rest(), b"");
    let refused = server.wait_for("refused conn=51 peer=127.0.0.2:");
    assert!(refused.ends_with(" reason=per_source"), "{refused}");
    let mut other = Client::from_source([127, 0, 0, 3], at);
    assert_eq!(other.ask("and here"), "AND HERE");

    // The place of a client that leaves is for another of the same source.
    drop(clients.pop());
    server.wait_for("closed conn=50 ");
    let mut next = Client::from_source([127, 0, 0, 2], at);
    assert_eq!(next.ask("here"), "HERE");
    assert_eq!(Client::from_source([127, 0, 0, 2], at).rest(), b"");
    server.wait_for("refused conn=54 ");
    assert_eq!(server.count("refused"), 2);
    drop((clients, next, other));
    server.end();
}

#[test]
fn a_prefix_makes_one_source_of_a_network() {
    let mut server = serve(&["upper", "--max-per-source", "1/24", "-v"]);
    let at = server.at[0];
    let mut first = Client::from_source([127, 0, 7, 2], at);
    assert_eq!(first.ask("here"), "HERE");
    assert_eq!(Client::from_source([127, 0, 7, 99], at).rest(), b"");
    let refused = server.wait_for("refused conn=2 peer=127.0.7.99:");
    let end = format!(" local={at} reason=per_source");
    assert!(refused.ends_with(&end), "{refused}");
    let mut other = Client::from_source([127, 0, 8, 2], at);
    assert_eq!(other.ask("here"), "HERE");
}

#[test]
fn connecting_too_often_is_refused() {
    let mut server = serve(&["upper", "--accept-rate", "1"]);
    let at = server.at[0];
    let mut first = Client::from_source([127, 0, 0, 2], at);
    assert_eq!(first.ask("here"), "HERE");
    // At least one of these falls into the same second.
    for _ in 0..20 {
        drop(Client::from_source([127, 0, 0, 2], at));
    }
    let refused = server.wait_for("refused");
    assert!(refused.contains(" peer=127.0.0.2:"), "{refused}");
    assert!(refused.ends_with(" reason=accept_rate"), "{refused}");
    let mut other = Client::from_source([127, 0, 0, 3], at);
    assert_eq!(other.ask("here"), "HERE");
}

#[test]
fn a_flood_of_refusals_is_counted_and_not_logged() {
    let mut server = serve(&["upper", "--deny", "127.0.0.2"]);
    let at = server.at[0];
    for _ in 0..200 {
        assert_eq!(Client::from_source([127, 0, 0, 2], at).rest(), b"");
    }
    server.signal(rustix::process::Signal::USR1);
    let stats = server.wait_for("stats");
    assert_eq!(stats, "stats open=0 accepted=200 denied=200 in=0 out=0");
    // Ten in a second, and this did not take twenty seconds.
    assert!((1..200).contains(&server.count("refused")));
}
