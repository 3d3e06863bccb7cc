//! A listener that other processes have open, too, may be changed by them.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use futures_lite::future;
use halves::{Listener, Listeners};
use rustix::net::{Shutdown, shutdown};

fn shared() -> (TcpListener, Listeners) {
    let theirs = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let ours = OwnedFd::from(theirs.try_clone().expect("a descriptor"));
    let ours = Listeners::try_from(ours).expect("it listens");
    (theirs, ours)
}

#[test]
fn an_error_of_accept_names_the_call_and_the_address() {
    let (theirs, mut ours) = shared();
    let at = theirs.local_addr().expect("an address");
    shutdown(&theirs, Shutdown::Both).expect("it listens");
    let accepted = future::block_on(ours.accept());
    let error = accepted.expect_err("nothing listens any more");
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot accept at {at}: ")),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
