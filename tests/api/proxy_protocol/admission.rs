//! Rules and limits apply to the client that the header names, or else to the load balancer.

use halves::limits::{Rules, Sources};
use halves::{Reason, Server, Timeouts};

use super::sources::{BALANCER, CLIENT_HEADER, SECOND, assert_echo, assert_end, send, serve};
use crate::support::harness::World;
use crate::support::harness::network::endpoint;

const OTHER_CLIENT_HEADER: &[u8] = b"PROXY TCP4 203.0.113.2 198.51.100.7 51234 443\r\n";
/// A version 2 header without addresses.
const LOCAL_HEADER: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

#[test]
fn limits_of_a_source_count_the_real_clients() {
    let world = World::new();
    let server = Server::default().sources(Sources::default().max_connections(1));
    let (served, clients) = serve(&world, server);
    let connect = |header: &[u8]| {
        let mut client = clients.connect(&world, BALANCER);
        send(&world, &mut client, header);
        client
    };
    let mut first = connect(CLIENT_HEADER);
    let mut other = connect(OTHER_CLIENT_HEADER);
    assert_echo(&world, &mut first);
    assert_echo(&world, &mut other);
    let mut second = connect(CLIENT_HEADER);
    assert_end(&mut second);
    assert_eq!(
        served.events(),
        ["refused 3 per_source", "closed 3 per_source"]
    );
    drop(first);
    world.settle();
    assert_echo(&world, &mut connect(CLIENT_HEADER));
}

#[test]
fn rules_apply_to_the_real_client_and_not_to_the_load_balancer() {
    let world = World::new();
    let net = |net: &str| net.parse().expect("a network");
    let rules = Rules::default()
        .allow(net("203.0.113.0/24"))
        .deny(net("203.0.113.2"));
    let (served, clients) = serve(&world, Server::default().rules(rules));
    let mut allowed = clients.connect(&world, BALANCER);
    send(&world, &mut allowed, CLIENT_HEADER);
    assert_echo(&world, &mut allowed);
    let mut denied = clients.connect(&world, BALANCER);
    // The client reads the end, whatever else it has sent.
    let sent = [OTHER_CLIENT_HEADER, b"and more"].concat();
    send(&world, &mut denied, &sent);
    assert_end(&mut denied);
    assert_eq!(served.events(), ["refused 2 denied", "closed 2 denied"]);
}

#[test]
fn a_header_without_addresses_leaves_the_load_balancer_to_be_admitted() {
    for header in [LOCAL_HEADER, b"PROXY UNKNOWN\r\n"] {
        let world = World::new();
        let sources = Sources::default().max_connections(1);
        let rules = Rules::default().deny("10.6.6.6".parse().expect("a network"));
        let server = Server::default().sources(sources).rules(rules);
        let (served, clients) = serve(&world, server);
        let mut first = clients.connect(&world, BALANCER);
        send(&world, &mut first, header);
        assert_echo(&world, &mut first);
        let info = served.handle.connections().remove(0);
        assert_eq!(info.peer, endpoint(BALANCER));
        let mut second = clients.connect(&world, BALANCER);
        send(&world, &mut second, header);
        assert_end(&mut second);
        let mut denied = clients.connect(&world, "10.6.6.6:1");
        send(&world, &mut denied, header);
        assert_end(&mut denied);
        let ended = served.handle.stats().ended;
        assert_eq!((ended[Reason::PerSource], ended[Reason::Denied]), (1, 1));
    }
}

#[test]
fn a_header_is_not_the_begin_of_a_request() {
    let world = World::new();
    let timeouts = Timeouts::default().min_rate(100);
    let (served, clients) = serve(&world, Server::default().timeouts(timeouts));
    let mut client = clients.connect(&world, BALANCER);
    send(&world, &mut client, CLIENT_HEADER);
    for _ in 0..60 {
        world.pass(SECOND);
    }
    assert_eq!(served.events(), [""; 0], "a silent client is not slow");
    assert_echo(&world, &mut client);
}
