//! Halves of every kind pass the same checks.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory;
use halves::{Connection, Listener, Listeners, Once, bind, connect};
use smol::Unblock;

use crate::support::conformance;
use crate::support::place;
use crate::support::skip::skip;

#[test]
fn tcp_over_ipv4_conforms() {
    smol::block_on(conformance::check_address("127.0.0.1:0"));
}

#[test]
fn tcp_over_ipv6_conforms() {
    if TcpListener::bind("[::1]:0").is_err() {
        return skip("tcp_over_ipv6_conforms", "there is no IPv6");
    }
    smol::block_on(conformance::check_address("[::1]:0"));
}

#[test]
fn unix_sockets_by_path_conform() {
    let dir = place::dir();
    let path = dir.path().join("socket");
    smol::block_on(conformance::check_address(&format!(
        "unix:{}",
        path.display()
    )));
}

#[test]
fn abstract_unix_sockets_conform() {
    if !cfg!(target_os = "linux") {
        return skip("abstract_unix_sockets_conform", "only Linux has them");
    }
    smol::block_on(conformance::check_address(&format!(
        "@halves-conformance-{}",
        std::process::id()
    )));
}

/// A socket that was opened elsewhere, such as by a service manager.
#[test]
fn inherited_listeners_conform() {
    let dir = place::dir();
    for n in 0..2 {
        smol::block_on(conformance::check(
            conformance::LARGE_TRANSFER_BYTES,
            async || {
                let path = dir.path().join("socket");
                let socket = match n {
                    0 => OwnedFd::from(TcpListener::bind("127.0.0.1:0")?),
                    _ => OwnedFd::from(UnixListener::bind(&path)?),
                };
                let mut listeners = Listeners::try_from(socket)?;
                let address = listeners.local_addrs()[0].to_string();
                let (near, far) = future::try_zip(connect(address), listeners.accept()).await?;
                // The listener does not remove the file, as it did not create it.
                let _ = std::fs::remove_file(&path);
                Ok((near, far.expect("a listener of sockets does not end")))
            },
        ));
    }
}

#[test]
fn inherited_connections_conform() {
    smol::block_on(conformance::check(
        conformance::LARGE_TRANSFER_BYTES,
        async || {
            let (near, far) = UnixStream::pair()?;
            Ok((inherited(near).await?, inherited(far).await?))
        },
    ));
    smol::block_on(conformance::check(
        conformance::LARGE_TRANSFER_BYTES,
        async || {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let near = TcpStream::connect(listener.local_addr()?)?;
            let (far, _) = listener.accept()?;
            Ok((inherited(near).await?, inherited(far).await?))
        },
    ));
}

async fn inherited(socket: impl Into<OwnedFd>) -> io::Result<Connection> {
    let mut listeners = Listeners::try_from(socket.into())?;
    let connection = listeners.accept().await?.expect("the one connection");
    assert!(listeners.accept().await?.is_none(), "it is there once");
    Ok(connection)
}

#[test]
fn a_listener_and_a_stream_of_async_net_conform() {
    smol::block_on(conformance::check(
        conformance::LARGE_TRANSFER_BYTES,
        async || {
            let mut listener = async_net::TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            let (near, far) =
                future::try_zip(connect(address), Listener::accept(&mut listener)).await?;
            Ok((near, far.expect("a listener of sockets does not end")))
        },
    ));
}

#[test]
fn a_unix_listener_and_a_stream_of_async_net_conform() {
    let dir = place::dir();
    let path = dir.path().join("socket");
    smol::block_on(conformance::check(
        conformance::LARGE_TRANSFER_BYTES,
        async || {
            let mut listener = async_net::unix::UnixListener::bind(&path)?;
            let (near, far) =
                future::try_zip(connect(&*path), Listener::accept(&mut listener)).await?;
            let far = far.expect("a listener of sockets does not end");
            assert_eq!(near.peer.endpoint(), far.peer.local());
            assert_eq!(far.peer.endpoint(), near.peer.local());
            assert_eq!(far.peer.credentials(), near.peer.credentials());
            std::fs::remove_file(&path)?;
            Ok((near, far))
        },
    ));
}

#[test]
fn pipes_in_memory_of_any_capacity_conform() {
    for bound in [1, 7, 4096, 1 << 20] {
        let long = (bound * 1000).min(conformance::LARGE_TRANSFER_BYTES);
        smol::block_on(conformance::check(long, async || Ok(memory::pair(bound))));
    }
}

#[test]
fn erased_connections_in_memory_conform() {
    smol::block_on(conformance::check(100_000, async || {
        let (listener, connector) = memory::listener(100);
        let mut listeners = Listeners::from(listener);
        let near = connector.connect().await?;
        Ok((near.erase(), listeners.accept().await?.expect("one waits")))
    }));
}

/// Halves of another crate: here a Unix socket of async-net.
#[test]
fn custom_halves_conform() {
    smol::block_on(conformance::check(
        conformance::LARGE_TRANSFER_BYTES,
        async || {
            let (near, far) = async_net::unix::UnixStream::pair()?;
            Ok((
                Connection::new(near.clone(), near),
                Connection::new(far.clone(), far).erase(),
            ))
        },
    ));
}

/// Two OS pipes behind the blocking pool, as standard streams and FIFOs are.
#[test]
fn pipes_of_the_system_conform() {
    smol::block_on(conformance::check(
        conformance::LARGE_TRANSFER_BYTES,
        async || {
            let (near_reader, far_writer) = io::pipe()?;
            let (far_reader, near_writer) = io::pipe()?;
            let near = Connection::new(Unblock::new(near_reader), Unblock::new(near_writer));
            let far = Connection::new(Unblock::new(far_reader), Unblock::new(far_writer));
            Ok((near.erase(), far.erase()))
        },
    ));
}

#[test]
fn an_address_in_use_is_an_error_of_one_line() -> io::Result<()> {
    let listeners = smol::block_on(bind("127.0.0.1:0"))?;
    let taken = listeners.local_addrs()[0].to_string();
    let error = smol::block_on(bind(taken.as_str())).expect_err("it is in use");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let line = error.to_string();
    assert!(
        line.starts_with(&format!("cannot listen on {taken}: ")),
        "{line}"
    );
    Ok(())
}

#[test]
fn a_refused_connection_is_an_error_of_one_line() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it has an address").port()
    };
    let error =
        smol::block_on(connect(format!("127.0.0.1:{port}"))).expect_err("no listener is there");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn dual_stack_accepts_both_families_and_shows_ipv4_addresses() -> io::Result<()> {
    smol::block_on(async {
        let mut listeners = bind(":0").await?;
        let port = listeners.local_addrs()[0]
            .socket_addr()
            .expect("it is TCP")
            .port();
        let near = connect(format!("127.0.0.1:{port}")).await?;
        let far = listeners.accept().await?.expect("one has connected");
        assert_eq!(far.peer.endpoint(), near.peer.local());
        assert_eq!(far.peer.local(), near.peer.endpoint());
        Ok(())
    })
}

/// With the backlog of 128 that std uses, the kernel would drop most of these.
#[test]
fn three_hundred_clients_connect_before_any_accept() -> io::Result<()> {
    let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    let limit = limit
        .ok()
        .and_then(|limit| limit.trim().parse::<u32>().ok());
    if limit.is_some_and(|limit| limit < 300) {
        skip(
            "three_hundred_clients_connect_before_any_accept",
            "the system keeps no more than net.core.somaxconn",
        );
        return Ok(());
    }
    let listeners = smol::block_on(bind("127.0.0.1:0"))?;
    let address = listeners.local_addrs()[0].socket_addr().expect("it is TCP");
    let patience = Duration::from_secs(10);
    let clients = (0..300).map(|_| TcpStream::connect_timeout(&address, patience));
    let clients = clients.collect::<io::Result<Vec<_>>>()?;
    assert_eq!(clients.len(), 300);
    Ok(())
}

#[test]
fn several_listeners_are_polled_in_turn() -> io::Result<()> {
    smol::block_on(async {
        let (first, one) = memory::listener(8);
        let (second, two) = memory::listener(8);
        let mut listeners = Listeners::from(first)
            .and(second)
            .and(Once::new(Connection::new(
                futures_lite::io::empty(),
                futures_lite::io::sink(),
            )));
        let mut clients = Vec::new();
        for letter in [b"a", b"b", b"c"] {
            for connector in [&one, &two] {
                let mut client = connector.connect().await?;
                client.writer.write_all(letter).await?;
                clients.push(client);
            }
        }
        drop((one, two));
        let mut order = Vec::new();
        while let Some(mut connection) = listeners.accept().await? {
            let mut letter = [0];
            let n = connection.reader.read(&mut letter).await?;
            order.extend_from_slice(&letter[..n]);
        }
        assert_eq!(order, b"aabbcc", "and the listeners end when all have");
        Ok(())
    })
}
