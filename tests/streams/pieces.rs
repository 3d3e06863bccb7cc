//! Input that the kernel delivers in pieces without a new readiness event: a read ends before
//! urgent data, after descriptors, and after each packet of a pipe.
#![cfg(target_os = "linux")]

use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncReadExt, FutureExt, future};
use halves::descriptor::FdReader;
use halves::{Connection, Executor, Listener, Listeners, bind};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};
use smol::Timer;

use crate::support::place;
use crate::support::skip::skip;

/// Far longer than any wait in a test.
const TIMEOUT: Duration = Duration::from_secs(20);

/// On this library's executor, with its reactor, and on smol.
fn on_both(test: impl AsyncFn()) {
    Executor::new().block_on(test());
    smol::block_on(test());
}

/// Sends all pieces while the reader waits, and this thread is held, so that the first piece is
/// noticed only after the last one is there.
async fn reads_all(mut reader: impl AsyncRead + Unpin, sends: impl Fn(), expected: &str) {
    let mut received = vec![0; 64];
    // A second time, after the first reads were short.
    for _ in 0..2 {
        let early = future::poll_once(reader.read(&mut received)).await;
        assert!(early.is_none(), "{early:?}");
        sends();
        let mut length = 0;
        while length < expected.len() {
            let read = reader.read(&mut received[length..]);
            let late = async {
                Timer::after(TIMEOUT).await;
                Err(io::ErrorKind::TimedOut.into())
            };
            length += read.or(late).await.expect("there is more");
        }
        assert_eq!(str::from_utf8(&received[..length]), Ok(expected));
    }
}

async fn accept(listeners: &mut Listeners) -> Connection {
    let accepted = listeners.accept().await.expect("accepted");
    accepted.expect("a listener of sockets does not end")
}

/// Two connections over a Unix socket: an accepted one, and an inherited one.
async fn over_unix() -> Vec<(Connection, UnixStream)> {
    let dir = place::dir();
    let path = dir.path().join("socket");
    let mut listeners = bind(&*path).await.expect("bound");
    let accepted = UnixStream::connect(&path).expect("connected");
    let (ours, given) = UnixStream::pair().expect("a pair");
    let mut once = Listeners::try_from(OwnedFd::from(ours)).expect("a connection");
    vec![
        (accept(&mut listeners).await, accepted),
        (accept(&mut once).await, given),
    ]
}

#[test]
fn bytes_after_urgent_data_are_read() {
    on_both(async || {
        let mut listeners = bind("127.0.0.1:0").await.expect("bound");
        let at = listeners.local_addrs()[0].to_string();
        let peer = TcpStream::connect(at).expect("connected");
        peer.set_nodelay(true).expect("set");
        let served = accept(&mut listeners).await;
        let sends = || {
            (&peer).write_all(b"abc").expect("sent");
            assert_eq!(send(&peer, b"X", SendFlags::OOB), Ok(1));
            (&peer).write_all(b"defg").expect("sent");
        };
        reads_all(served.reader, sends, "abcdefg").await;
    });
}

#[test]
fn bytes_after_a_descriptor_are_read() {
    on_both(async || {
        for (served, peer) in over_unix().await {
            let sends = || {
                (&peer).write_all(b"abc").expect("sent");
                let descriptors = [peer.as_fd()];
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut beside = SendAncillaryBuffer::new(&mut space);
                assert!(beside.push(SendAncillaryMessage::ScmRights(&descriptors)));
                let sent = sendmsg(
                    &peer,
                    &[IoSlice::new(b"X")],
                    &mut beside,
                    SendFlags::empty(),
                );
                assert_eq!(sent, Ok(1));
                (&peer).write_all(b"def").expect("sent");
            };
            reads_all(served.reader, sends, "abcXdef").await;
        }
    });
}

#[test]
fn bytes_after_urgent_data_of_a_unix_socket_are_read() {
    let (one, _other) = UnixStream::pair().expect("a pair");
    if send(&one, b"X", SendFlags::OOB) == Err(Errno::OPNOTSUPP) {
        return skip(
            "bytes_after_urgent_data_of_a_unix_socket_are_read",
            "the kernel knows none",
        );
    }
    on_both(async || {
        for (served, peer) in over_unix().await {
            let sends = || {
                (&peer).write_all(b"abc").expect("sent");
                assert_eq!(send(&peer, b"X", SendFlags::OOB), Ok(1));
                (&peer).write_all(b"def").expect("sent");
            };
            reads_all(served.reader, sends, "abcdef").await;
        }
    });
}

#[test]
fn packets_of_a_pipe_are_read() {
    on_both(async || {
        let (from, to) = io::pipe().expect("a pipe");
        fcntl_setfl(&to, OFlags::DIRECT).expect("it has packets");
        let sends = || {
            for packet in ["abc", "X", "def"] {
                (&to).write_all(packet.as_bytes()).expect("sent");
            }
        };
        reads_all(FdReader::new(from).expect("watched"), sends, "abcXdef").await;
    });
}
