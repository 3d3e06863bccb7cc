//! Outgoing connections: their settings, their timings and their errors.

mod timeouts;
#[cfg(feature = "tls")]
mod tls;

use std::io::{self, ErrorKind, Read};
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use futures_lite::AsyncWriteExt;
use halves::proxy_protocol::{Header, Version};
use halves::{ConnectOptions, ConnectTimings, Connection, Error, Peer, connect};
use smol::block_on;

use crate::support::place;

/// A listener, and its address as text.
fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound").to_string();
    (listener, address)
}

/// The error of a connect, which is one of ours.
fn failed(connected: io::Result<Connection>) -> (ErrorKind, Error) {
    let error = connected.expect_err("it fails");
    (error.kind(), error.downcast().expect("an error of Halves"))
}

#[test]
fn a_refusal_is_an_error_of_the_connection() {
    let (listener, address) = listener();
    drop(listener);
    let (kind, error) = failed(block_on(connect(&address)));
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert_eq!(kind, ErrorKind::ConnectionRefused);
    let reason = io::Error::from_raw_os_error(rustix::io::Errno::CONNREFUSED.raw_os_error());
    assert_eq!(
        error.to_string(),
        format!("cannot connect to {address}: {reason}")
    );
}

/// The domain `invalid` has no names.
#[test]
fn a_name_without_an_address_is_an_error_of_the_name() {
    let mut timings = ConnectTimings::default();
    let options = ConnectOptions::new();
    let connected = options.connect_timed("nosuch.invalid:80", &mut timings);
    let (kind, error) = failed(block_on(connected));
    assert!(matches!(error, Error::Resolve { .. }), "{error:?}");
    assert_eq!(kind, ErrorKind::NotFound);
    let text = error.to_string();
    assert!(
        text.starts_with("cannot resolve nosuch.invalid:80: "),
        "{text}"
    );
    assert_eq!(timings, ConnectTimings::default());
}

#[test]
fn a_name_is_looked_up_and_an_ip_address_is_not() -> io::Result<()> {
    let (_listener, address) = listener();
    let named = address.replace("127.0.0.1", "localhost");
    for (address, is_looked_up) in [(address, false), (named, true)] {
        let mut timings = ConnectTimings::default();
        block_on(ConnectOptions::new().connect_timed(&address, &mut timings))?;
        assert_eq!(timings.name.is_some(), is_looked_up, "{address}");
        assert!(timings.connect.is_some());
        assert_eq!(timings.tls, None);
    }
    Ok(())
}

/// If `localhost` has addresses of both families, the other one refuses.
#[test]
fn one_address_of_a_name_is_enough() -> io::Result<()> {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(any) else {
            continue;
        };
        let address = listener.local_addr()?;
        let resolved = std::net::ToSocketAddrs::to_socket_addrs(&("localhost", address.port()))?;
        if resolved.collect::<Vec<_>>().contains(&address) {
            let connection = block_on(connect(format!("localhost:{}", address.port())))?;
            assert_eq!(connection.peer.endpoint().socket_addr(), Some(address));
        }
    }
    Ok(())
}

/// All of 127.0.0.0/8 belongs to a machine with Linux.
#[cfg(target_os = "linux")]
#[test]
fn the_server_sees_the_source_address() -> io::Result<()> {
    let (listener, address) = listener();
    let options = ConnectOptions::new().source(([127, 0, 0, 2], 0));
    let mut port = 0;
    for _ in 0..3 {
        let connection = block_on(options.connect(&address))?;
        let (_, seen) = listener.accept()?;
        assert_eq!(seen.ip().to_string(), "127.0.0.2");
        assert_eq!(connection.peer.local().socket_addr(), Some(seen));
        port = seen.port();
    }
    // The port is free again at once, although the client has closed first.
    let options = options.source(([127, 0, 0, 2], port));
    for _ in 0..2 {
        drop(block_on(options.connect(&address))?);
        let (mut served, seen) = listener.accept()?;
        assert_eq!(seen, SocketAddr::from(([127, 0, 0, 2], port)));
        served.read_to_end(&mut Vec::new())?;
    }
    Ok(())
}

#[test]
fn a_source_that_cannot_be_used_is_named() {
    let (_listener, address) = listener();
    // For documentation: the address of no machine.
    let options = ConnectOptions::new().source(([192, 0, 2, 1], 0));
    let (kind, error) = failed(block_on(options.connect(&address)));
    assert_eq!(kind, ErrorKind::AddrNotAvailable);
    let text = error.to_string();
    let prefix = format!("cannot connect to {address}: source 192.0.2.1:0: ");
    assert!(text.starts_with(&prefix), "{text}");

    let options = ConnectOptions::new().source((Ipv6Addr::LOCALHOST, 0));
    let (kind, error) = failed(block_on(options.connect(&address)));
    assert_eq!(kind, ErrorKind::AddrNotAvailable);
    assert_eq!(
        error.to_string(),
        format!("cannot connect to {address}: it has no IPv6 address, which the source ::1 needs")
    );

    let dir = place::dir();
    let path = dir.path().join("socket");
    let _listener = UnixListener::bind(&path).expect("bound");
    let (kind, error) = failed(block_on(options.connect(&path)));
    assert_eq!(kind, ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(
        text.ends_with("only a TCP connection has a source address"),
        "{text}"
    );
}

#[test]
fn the_proxy_header_has_the_addresses_of_the_connection_or_those_of_a_client() -> io::Result<()> {
    let (listener, address) = listener();
    let server = listener.local_addr()?;
    let at = |text: &str| text.parse::<SocketAddr>().expect("an address").into();
    let client = Header::of(&Peer::new(at("192.0.2.1:51234"), at("198.51.100.7:443")));
    for options in [
        ConnectOptions::new().send_proxy(Version::V1),
        ConnectOptions::new().send_proxy_for(client, Version::V1),
    ] {
        let mut connection = block_on(options.connect(&address))?;
        block_on(async {
            connection.writer.write_all(b"payload").await?;
            connection.writer.close().await
        })?;
        let (mut served, own) = listener.accept()?;
        let mut received = String::new();
        served.read_to_string(&mut received)?;
        let (own_port, port) = (own.port(), server.port());
        let own = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {own_port} {port}\r\npayload");
        let passed_on = "PROXY TCP4 192.0.2.1 198.51.100.7 51234 443\r\npayload";
        assert!([&*own, passed_on].contains(&&*received), "{received}");
        let counted = connection.peer.bytes_out();
        assert_eq!(counted, received.len().try_into().expect("small"));
    }
    Ok(())
}
