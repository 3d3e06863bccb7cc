//! Short reads that leave something for which no event comes.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use super::super::unsent_bytes;
use super::*;

/// Returns a TCP socket that waits to be read, and its peer.
fn waiting() -> (Driver, Socket, TcpStream) {
    let driver = driven();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (ours, _) = listener.accept().expect("accepted");
    ours.set_nonblocking(true).expect("set");
    let socket = Socket::trusted(OwnedFd::from(ours));
    assert!(read(socket.owner(), 8, &mut 0).is_pending());
    driver.turn_once();
    (driver, socket, peer)
}

/// Sends, and waits until the text has arrived.
fn arrives(peer: &TcpStream, text: &[u8], flags: SendFlags) {
    assert_eq!(rustix::net::send(peer, text, flags), Ok(text.len()));
    while unsent_bytes(peer.as_fd()).expect("known") > 0 {
        thread::yield_now();
    }
}

/// Reads until nothing is left, and returns the length of each read.
fn lengths(driver: &Driver, source: &Arc<Source>) -> Vec<usize> {
    let mut lengths = Vec::new();
    loop {
        while let Poll::Ready(moved) = read(source, 8, &mut 0) {
            lengths.push(moved.expect("read"));
        }
        if !driver
            .turn(|| Some(Duration::ZERO), no_alarms)
            .expect("turned")
        {
            return lengths;
        }
    }
}

#[test]
fn bytes_after_urgent_data_are_read() {
    let empty = SendFlags::empty();
    let (driver, socket, peer) = waiting();
    // All at once, then after the event of the first bytes, then all at once.
    for reported in [false, true, false] {
        arrives(&peer, b"abc", empty);
        if reported {
            driver.turn_once();
        }
        arrives(&peer, b"X", SendFlags::OOB);
        arrives(&peer, b"defg", empty);
        assert_eq!(lengths(&driver, socket.owner()), [3, 4], "{reported}");
    }
}

#[test]
fn bytes_after_urgent_data_that_comes_right_after_a_short_read_are_read() {
    let (driver, socket, peer) = waiting();
    arrives(&peer, b"abc", SendFlags::empty());
    driver.turn_once();
    let read = read_with(socket.owner(), 8, Waker::noop(), |_| {
        arrives(&peer, b"X", SendFlags::OOB);
        arrives(&peer, b"defg", SendFlags::empty());
    });
    assert_moved(read, 3);
    assert_eq!(lengths(&driver, socket.owner()), [4]);
}

#[test]
fn bytes_after_a_sent_descriptor_are_read_and_each_read_costs_one_more_call() {
    let driver = driven();
    let (ours, mut peer) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("set");
    let socket = Socket::new(OwnedFd::from(ours));
    let mut calls = 0;
    assert!(read(socket.owner(), 8, &mut calls).is_pending());
    driver.turn_once();
    send(&mut peer, b"abc");
    send_with_itself(&peer, b"X");
    send(&mut peer, b"def");
    driver.turn_once();
    assert_eq!(lengths(&driver, socket.owner()), [4, 3]);
    for _ in 0..2 {
        send(&mut peer, b"abc");
        driver.turn_once();
        calls = 0;
        assert_moved(read(socket.owner(), 8, &mut calls), 3);
        assert!(read(socket.owner(), 8, &mut calls).is_pending());
        assert!(read(socket.owner(), 8, &mut calls).is_pending());
        assert_eq!(calls, 2);
    }
}

/// Sends a text with a copy of the descriptor of the sending socket.
fn send_with_itself(peer: &UnixStream, text: &[u8]) {
    let descriptors = [peer.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    assert!(beside.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let text = [IoSlice::new(text)];
    let sent = rustix::net::sendmsg(peer, &text, &mut beside, SendFlags::empty());
    assert_eq!(sent, Ok(text[0].len()));
}
