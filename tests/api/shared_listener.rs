//! A listener that is open in other processes, which may change it.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use futures_lite::future::{self, yield_now};
use halves::service::echo;
use halves::{Connection, Executor, Handle, Listener, Listeners, Server};
use rustix::net::{Shutdown, shutdown};

use crate::support::harness::sockets::{TIMEOUT, eventually};

fn shared() -> (TcpListener, Listeners) {
    let theirs = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let ours = OwnedFd::from(theirs.try_clone().expect("a descriptor"));
    let ours = Listeners::try_from(ours).expect("it listens");
    (theirs, ours)
}

/// A blocking accept would hold the thread. The server has to serve and to notice its end.
#[test]
fn a_listener_made_blocking_by_another_owner_does_not_hold_the_server() {
    let (theirs, ours) = shared();
    let at = theirs.local_addr().expect("an address");
    let ex = Executor::new();
    let handler = async |c: Connection| echo(c.reader, c.writer).await;
    let body = async |_: Handle| {
        yield_now().await;
        theirs.set_nonblocking(false).expect("a socket");
        let mut client = TcpStream::connect(at).expect("it listens");
        client.write_all(b"x").expect("it fits");
        client.set_nonblocking(true).expect("a socket");
        let answer = || match client.read(&mut [0; 16]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            read => Some(read),
        };
        assert_eq!(eventually(answer).await.expect("an answer"), 1);
        theirs.set_nonblocking(false).expect("a socket");
    };
    // Ends the blocked accept, if there is one, so that the test fails and does not hang.
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let hung = ended.recv_timeout(TIMEOUT).is_err();
        while hung && TcpStream::connect(at).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
        hung
    });
    let served = Server::default().serve_while(&ex, ours, handler, body);
    ex.block_on(served).expect("no error of accept");
    done.send(()).expect("it waits");
    assert!(!watchdog.join().expect("no panic"), "accept blocked");
}

/// The result of an accept on a listener that another owner has shut down.
fn shut_down<L: Listener>(theirs: &impl AsFd, mut ours: L) {
    let at = ours.local_addrs()[0].to_string();
    shutdown(theirs, Shutdown::Both).expect("it listens");
    let Err(error) = future::block_on(ours.accept()) else {
        panic!("nothing listens any more");
    };
    let named = format!("cannot accept at {at}: ");
    assert!(error.to_string().starts_with(&named), "{error}");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_error_of_accept_names_the_call_and_the_address() {
    let (theirs, ours) = shared();
    shut_down(&theirs, ours);
    let theirs = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let ours = theirs.try_clone().expect("a descriptor");
    let ours = async_net::TcpListener::try_from(ours).expect("it listens");
    shut_down(&theirs, ours);
}
