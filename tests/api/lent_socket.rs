//! The socket of a connection, in other hands.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{AsyncWriteExt, future};
use halves::listener::memory;
use halves::{Connection, Endpoint, Peer, Reason, Server, Timeouts};

use crate::support::harness::sockets::{Family, eventually, run};

const FAMILIES: [Family; 2] = [Family::Tcp, Family::Unix];

/// Sockets that handlers have taken, with the bytes read ahead.
type Taken = Arc<Mutex<Vec<(OwnedFd, Vec<u8>)>>>;

/// The step of a handler that hands its socket over to the test.
async fn take(c: Connection, taken: &Taken) -> io::Result<()> {
    let (fd, ahead) = c.into_socket().await?;
    taken.lock().expect("no panic").push((fd, ahead.to_vec()));
    Ok(())
}

/// The socket as a stream of the standard library: its calls do not depend on the kind.
fn stream(socket: OwnedFd) -> io::Result<TcpStream> {
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

#[test]
fn a_socket_comes_with_the_bytes_read_ahead() {
    for family in FAMILIES {
        run(family, async |world| {
            let taken = Taken::default();
            let socket = taken.clone();
            let handler = async move |mut c: Connection| {
                assert!(c.is_socket());
                assert_eq!(c.reader.line().await?, Some(b"first\n".to_vec()));
                take(c, &socket).await?;
                future::pending().await
            };
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            client.send(b"first\nsecond\n");
            let (fd, ahead) = eventually(|| taken.lock().expect("no panic").pop()).await;
            assert_eq!(ahead, b"second\n");
            let flags = rustix::io::fcntl_getfd(&fd).expect("open");
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
            let connection = served.handle.connections().remove(0);
            assert_eq!((connection.bytes_in, connection.bytes_out), (13, 0));
            client.send(b"third\n");
            let mut stream = stream(fd).expect("a socket");
            let mut received = [0; 6];
            stream.read_exact(&mut received).expect("sent");
            assert_eq!(&received, b"third\n");
            stream.write_all(b"answer\n").expect("a client");
            assert_eq!(client.take(7).await, b"answer\n");
        });
    }
}

#[test]
fn written_bytes_are_sent_first() {
    for family in FAMILIES {
        run(family, async |world| {
            let handler = async |mut c: Connection| {
                for letter in [b"a", b"b", b"c"] {
                    c.writer.write_all(letter).await?;
                }
                let (fd, _) = c.into_socket().await?;
                stream(fd)?.write_all(b"d")
            };
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            assert_eq!(client.rest().await.0, b"abcd");
            client.end();
            assert_eq!(served.until_closed().await, ["closed 1 handler"]);
        });
    }
}

/// The descriptor stays open beyond the end.
#[test]
fn the_server_ends_a_socket_that_others_have_open() {
    for family in FAMILIES {
        run(family, async |world| {
            let taken = Taken::default();
            let socket = taken.clone();
            let handler = async move |c: Connection| {
                take(c, &socket).await?;
                Ok(())
            };
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            let (answer, end) = client.rest().await;
            end.expect("in order");
            assert!(answer.is_empty());
            // The client does not end its side.
            world.pass(Duration::from_secs(2)).await;
            assert_eq!(served.until_closed().await, ["closed 1 handler"]);
            let (fd, _) = taken.lock().expect("no panic").remove(0);
            let mut stream = stream(fd).expect("a socket");
            let error = stream.write(b"a").expect_err("shut down");
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            stream.set_nonblocking(true).expect("a socket");
            assert_eq!(stream.read(&mut [0]).expect("an end"), 0);
            drop(client);
        });
    }
}

#[test]
fn kill_and_drain_act_on_the_socket() {
    for family in FAMILIES {
        run(family, async |world| {
            for kill in [true, false] {
                let taken = Taken::default();
                let socket = taken.clone();
                let handler = async move |c: Connection| {
                    take(c, &socket).await?;
                    future::pending().await
                };
                let server = Server::default().drain_timeout(Duration::from_secs(10));
                let served = world.serve(server, handler).await;
                let client = served.connect();
                let (fd, _) = eventually(|| taken.lock().expect("no panic").pop()).await;
                let reason = if kill {
                    assert!(served.handle.kill(1));
                    "killed"
                } else {
                    served.shutdown.drain();
                    world.pass(Duration::from_secs(10)).await;
                    "aborted"
                };
                let end = client.rest().await.1;
                assert_eq!(end.is_err(), family == Family::Tcp, "a reset: {end:?}");
                let closed = served.until_closed().await;
                assert!(closed.contains(&format!("closed 1 {reason}")), "{closed:?}");
                drop(fd);
            }
        });
    }
}

/// The kernel knows the time of the last byte on TCP only.
#[test]
fn an_idle_timeout_set_later_applies_if_activity_is_known() {
    for family in FAMILIES {
        run(family, async |world| {
            let taken = Taken::default();
            let socket = taken.clone();
            let handler = async move |c: Connection| {
                take(c, &socket).await?;
                future::pending().await
            };
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            let (fd, _) = eventually(|| taken.lock().expect("no panic").pop()).await;
            let idle = Timeouts::default().idle(Duration::from_secs(10));
            served
                .handle
                .set_timeouts(idle.lifetime(Duration::from_secs(100)));
            world.pass(Duration::from_mins(1)).await;
            let is_known = family == Family::Tcp && cfg!(target_os = "linux");
            let deadline = served
                .handle
                .connections()
                .first()
                .and_then(|info| info.deadline);
            let reason = deadline.map(|deadline| deadline.reason);
            assert_eq!(reason, (!is_known).then_some(Reason::Lifetime));
            world.pass(Duration::from_secs(40)).await;
            drop(client);
            let reason = if is_known { "idle" } else { "lifetime" };
            assert_eq!(served.until_closed().await, [format!("closed 1 {reason}")]);
            drop(fd);
        });
    }
}

#[test]
fn other_connections_have_no_socket() {
    run(Family::Tcp, async |world| {
        let handler = async |c: Connection| {
            let remote = c.peer.endpoint();
            let c = c.with_peer(Peer::new(remote, Endpoint::Unknown));
            assert!(!c.is_socket());
            let error = c.into_socket().await.expect_err("another record");
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            Ok(())
        };
        let served = world.serve(Server::default(), handler).await;
        let client = served.connect();
        assert!(client.rest().await.0.is_empty());
    });
    smol::block_on(async {
        let (near, _far) = memory::pair(64);
        let near = near.erase();
        assert!(!near.is_socket());
        let error = near.into_socket().await.expect_err("no socket");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let text = "the connection is not a plain socket";
        assert_eq!(error.to_string(), text);
    });
}

#[test]
fn a_layer_above_a_socket_has_none() {
    for family in FAMILIES {
        run(family, async |world| {
            let handler = async |c: Connection| {
                let (reader, writer, peer) = c.into_parts();
                let c = Connection::from_parts(reader, writer, peer).erase();
                assert!(!c.is_socket());
                let error = c.into_socket().await.expect_err("a layer");
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                Ok(())
            };
            let served = world.serve(Server::default(), handler).await;
            let client = served.connect();
            let (answer, end) = client.rest().await;
            end.expect("in order");
            assert!(answer.is_empty());
            client.end();
            assert_eq!(served.until_closed().await, ["closed 1 handler"]);
        });
    }
}
