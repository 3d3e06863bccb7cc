//! `proxy` in front of load balancers, and behind them.

use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::thread;

use super::proxy;
use crate::common::{Client, Halves, serve};
use crate::proxied::haproxy::haproxy_before;
use crate::proxied::nginx::nginx_before;
use crate::session::lacks;

/// The address of the client in these tests.
const SOURCE: [u8; 4] = [127, 0, 0, 5];
/// More than all sockets on the way buffer.
const LONG_BYTES: usize = 20_000_000;

/// Sends much and ends its half, and reads all of it in capitals. Nothing is lost.
fn transfers(mut client: Client) {
    let mut writer = client.0.try_clone().expect("a socket");
    let sender = thread::spawn(move || {
        writer.write_all(&vec![b'a'; LONG_BYTES]).expect("it reads");
        writer.shutdown(Shutdown::Write).expect("it is there");
    });
    let received = client.rest();
    sender.join().expect("all is sent");
    assert_eq!(received.len(), LONG_BYTES);
    assert!(received.iter().all(|&byte| byte == b'A'));
}

/// Asserts that clients of `front` are served by `server`, which is behind all others.
fn is_served(connect: impl Fn() -> Client, server: &mut Halves, relay: &mut Halves) {
    assert_eq!(connect().ask("hello"), "HELLO");
    transfers(connect());
    for _ in 0..2 {
        let closed = server.wait_for("closed");
        assert!(closed.contains(" reason=eof "), "{closed}");
        relay.wait_for("closed");
    }
    relay.end();
    server.end();
}

#[test]
fn proxy_in_front_of_haproxy() {
    if lacks("haproxy", "proxy_in_front_of_haproxy") {
        return;
    }
    let mut server = serve(&["upper"]);
    let balancer = haproxy_before(server.at[0], "accept-proxy", "", "");
    // It listens once it accepts a client.
    drop(Client::connect_in_time(balancer.at));
    let mut relay = relay_with_header(balancer.at);
    let at = relay.at[0];
    is_served(|| Client::new(at), &mut server, &mut relay);
}

fn relay_with_header(to: SocketAddr) -> Halves {
    super::listening(&["proxy", &format!("{to},send-proxy=v2")])
}

#[test]
fn proxy_behind_haproxy() {
    if lacks("haproxy", "proxy_behind_haproxy") {
        return;
    }
    let trusting = ["--proxy-protocol=v2", "--trust-proxy=127.0.0.0/8"];
    let mut server = serve(&[&["upper"], &trusting[..]].concat());
    let target = format!("{},send-proxy=v2", server.at[0]);
    let words = [&["proxy"], &trusting[..], &[&target]].concat();
    let mut relay = super::listening(&words);
    let balancer = haproxy_before(relay.at[0], "", "send-proxy-v2", "");
    let mut client = balancer.client(SOURCE);
    let own = client.0.local_addr().expect("an address");
    assert_eq!(client.ask("hello"), "HELLO");
    drop(client);
    // The address of the client passes through both.
    for server in [&mut relay, &mut server] {
        let closed = server.wait_for("closed");
        assert!(closed.contains(&format!(" peer={own} ")), "{own}: {closed}");
    }
    is_served(|| balancer.client(SOURCE), &mut server, &mut relay);
}

#[test]
fn proxy_in_front_of_nginx() {
    let mut server = serve(&["upper"]);
    let half_close = "proxy_half_close on;";
    let Some(balancer) = nginx_before(server.at[0], half_close, "proxy_in_front_of_nginx") else {
        return;
    };
    drop(Client::connect_in_time(balancer.at));
    server.wait_for("closed");
    let mut relay = proxy(balancer.at, &[]);
    let at = relay.at[0];
    is_served(|| Client::new(at), &mut server, &mut relay);
}

#[test]
fn proxy_behind_nginx() {
    let mut server = serve(&["upper"]);
    let mut relay = proxy(server.at[0], &[]);
    let half_close = "proxy_half_close on;";
    let Some(balancer) = nginx_before(relay.at[0], half_close, "proxy_behind_nginx") else {
        return;
    };
    is_served(|| balancer.client(SOURCE), &mut server, &mut relay);
}
