//! Paths, abstract names, and sockets without a name.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::connection::UnixName;
use halves::{Endpoint, Listener, bind, connect};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use smol::{Timer, block_on};

use crate::support::skip::skip;
use crate::unix::{backlog_of_one, dir, kind_of, listen, pair};

/// Far longer than any wait in a test.
const TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn a_path_or_a_name_has_at_most_107_bytes() -> io::Result<()> {
    let dir = dir();
    let most = 107 - dir.path().as_os_str().len() - 1;
    let [fits, long] = [most, most + 1].map(|length| dir.path().join("x".repeat(length)));
    let mut listeners = listen(&fits)?;
    let address = format!("unix:{}", fits.display());
    let (near, _far) = block_on(pair(&mut listeners, &address))?;
    assert_eq!(near.peer.endpoint().to_string(), address);
    let id = std::process::id();
    let name = format!("@halves-{id}-{:x<110}", "");
    let [name, longer] = [107, 108].map(|length| name[..=length].to_owned());
    let mut listeners = block_on(bind(&*name))?;
    block_on(pair(&mut listeners, &name))?;
    for (address, what) in [
        (format!("unix:{}", long.display()), "path"),
        (longer, "name"),
    ] {
        let listened = block_on(bind(&*address)).expect_err("it is too long");
        let connected = block_on(connect(&*address)).expect_err("it is too long");
        for (error, doing) in [(listened, "listen on"), (connected, "connect to")] {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            let problem =
                format!("the {what} has 108 bytes, and that of a Unix socket may have 107");
            assert_eq!(
                error.to_string(),
                format!("cannot {doing} {address}: {problem}")
            );
        }
    }
    Ok(())
}

#[test]
fn a_path_that_looks_like_a_name_is_distinguished() {
    let path = Endpoint::Unix(UnixName::Path(Path::new("@x").into()));
    assert_eq!(path.to_string(), "unix:./@x");
    let name = Endpoint::Unix(UnixName::Abstract(b"x"[..].into()));
    assert_eq!(name.to_string(), "@x");
}

#[test]
fn each_end_has_its_name_or_none() -> io::Result<()> {
    let dir = dir();
    let [path, client] = ["a,socket", "client"].map(|name| dir.path().join(name));
    let mut listeners = listen(&path)?;
    let local = listeners.local_addrs()[0].clone();
    assert_eq!(local, Endpoint::Unix(UnixName::Path(path.as_path().into())));
    let (near, far) = block_on(pair(&mut listeners, &local.to_string()))?;
    assert_eq!(near.peer.endpoint(), local);
    assert_eq!(far.peer.local(), local);
    assert_eq!(far.peer.to_string(), "unix");
    assert_eq!(near.peer.local().to_string(), "unix");

    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(&client)?)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(&path)?)?;
    let far = block_on(listeners.accept())?.expect("one has connected");
    assert_eq!(far.peer.to_string(), format!("unix:{}", client.display()));
    Ok(())
}

#[test]
fn an_abstract_name_is_exclusive_and_not_in_the_file_system() -> io::Result<()> {
    if !cfg!(target_os = "linux") {
        skip(
            "an_abstract_name_is_exclusive_and_not_in_the_file_system",
            "only Linux has them",
        );
        return Ok(());
    }
    let name = format!("@halves-abstract-{}", std::process::id());
    let listeners = block_on(bind(&*name))?;
    assert_eq!(listeners.local_addrs()[0].to_string(), name);
    assert_eq!(kind_of(block_on(bind(&*name))), io::ErrorKind::AddrInUse);
    assert!(!Path::new(&name).exists() && !Path::new(&name[1..]).exists());
    drop(listeners);
    drop(block_on(bind(&*name))?);
    let error = block_on(connect(&*name)).expect_err("no listener is there");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    Ok(())
}

#[test]
fn a_connect_waits_for_room() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    let busy = backlog_of_one(&path)?;
    let _waiting = [UnixStream::connect(&path)?, UnixStream::connect(&path)?];
    let address = format!("unix:{}", path.display());
    let connecting = connect(&*address);
    let mut connecting = std::pin::pin!(connecting);
    block_on(async {
        assert!(future::poll_once(&mut connecting).await.is_none());
        let _accepted = [busy.accept()?, busy.accept()?];
        let mut client = connecting.await?;
        let (mut server, _) = busy.accept()?;
        client.writer.write_all(b"here").await?;
        server.read_exact(&mut [0; 4])?;
        server.write_all(b"HERE")?;
        client.reader.read_exact(&mut [0; 4]).await?;
        Ok(())
    })
}

/// More connects wait than the pool has threads.
#[test]
fn connects_that_wait_take_no_thread_of_the_blocking_pool() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    let _busy = backlog_of_one(&path)?;
    let _waiting = [UnixStream::connect(&path)?, UnixStream::connect(&path)?];
    block_on(async {
        let mut connecting: Vec<_> = (0..600).map(|_| Box::pin(connect(&*path))).collect();
        for connecting in &mut connecting {
            assert!(future::poll_once(connecting).await.is_none());
        }
        let late = async {
            Timer::after(TIMEOUT).await;
            panic!("no thread is free");
        };
        // Listening on a path takes a thread of the pool.
        let other = dir.path().join("other");
        future::or(bind(&*other), late).await.map(drop)
    })
}

#[test]
fn settings_of_a_listener_are_refused_for_connecting() {
    let error = block_on(connect("/nowhere,mode=0600")).expect_err("that is for listening");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().ends_with("are for listening"), "{error}");
}

#[test]
fn a_refused_connection_is_an_error_of_one_line() -> io::Result<()> {
    let dir = dir();
    let path = dir.path().join("socket");
    let error = block_on(connect(&*path)).expect_err("there is no file");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    drop(UnixListener::bind(&path)?);
    let error = block_on(connect(&*path)).expect_err("no listener is there");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(error.to_string().lines().count(), 1);
    Ok(())
}
