//! Moves that fail: the relays go on in the old process.

use std::io::{ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use futures_lite::future;
use halves::Server;
use halves::service::{Handover, HandoverListener};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, send, sendmsg, socketpair,
};

use super::{World, channel, pass, run};

/// The greeting of a process that takes relays.
const GREETING: &[u8] = b"handover\x01";

#[test]
fn a_channel_that_closes_first_or_speaks_another_version_moves_nothing() {
    run(false, async |mut world: World| {
        let old = world.first().await;
        let (mut client, mut origin) = world.connect(&old).await;
        for (greeting, kind) in [
            (None, ErrorKind::UnexpectedEof),
            (Some(&b"handover\x02"[..]), ErrorKind::Unsupported),
            (Some(b"handover"), ErrorKind::Unsupported),
            (Some(b"good day\x01"), ErrorKind::Unsupported),
        ] {
            let (ours, theirs) = channel();
            if let Some(greeting) = greeting {
                send(&theirs, greeting, SendFlags::empty()).expect("room");
            }
            drop(theirs);
            let error = old.handover.send(ours).await.expect_err("no process");
            assert_eq!(error.kind(), kind, "{error}");
            pass(&mut client, &mut origin, b"still here").await;
        }
        let kinds = SocketType::STREAM;
        let pair = || socketpair(AddressFamily::UNIX, kinds, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair().expect("a pair");
        let error = old.handover.send(ours).await.expect_err("a stream");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = HandoverListener::new(halves::Listeners::default(), theirs);
        let error = error.expect_err("a stream");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(old.open(), 1);
    });
}

#[test]
fn a_process_that_dies_has_only_what_it_was_given() {
    run(false, async |mut world: World| {
        let old = world.first().await;
        let mut ends = Vec::new();
        for _ in 0..50 {
            let (mut client, mut origin) = world.connect(&old).await;
            pass(&mut client, &mut origin, b"a").await;
            ends.push((client, origin));
        }
        let (ours, theirs) = channel();
        send(&theirs, GREETING, SendFlags::empty()).expect("room");
        let dies = async {
            let mut taken = 0;
            while taken < 5 {
                if recv(&theirs, &mut [0; 1], RecvFlags::DONTWAIT).is_ok() {
                    taken += 1;
                }
                future::yield_now().await;
            }
            drop(theirs);
        };
        let (done, ()) = future::zip(old.handover.send(ours), dies).await;
        let done = done.expect("it began");
        assert!(done.error.is_some());
        assert!((5..25).contains(&done.moved), "{done:?}");
        assert_eq!(done.moved + done.left, 50);
        old.until_open(done.left).await;
        // The first ones have moved.
        for (client, origin) in &mut ends[done.moved..] {
            pass(client, origin, b"still here").await;
        }
        // Those that are left can move later.
        let (new, done) = world.move_all(&old).await;
        assert_eq!((done.left, new.open()), (0, done.moved));
    });
}

#[test]
fn one_call_sends_at_a_time_and_a_dropped_one_moves_no_more() {
    run(false, async |mut world: World| {
        let old = world.first().await;
        let (mut client, mut origin) = world.connect(&old).await;
        let (ours, _theirs) = channel();
        let mut first = Box::pin(old.handover.send(ours));
        assert!(future::poll_once(&mut first).await.is_none());
        let (ours, theirs) = channel();
        let error = old.handover.send(ours).await.expect_err("the other call");
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        drop((first, theirs));
        pass(&mut client, &mut origin, b"still here").await;
        let (_new, done) = world.move_all(&old).await;
        assert_eq!(done.moved, 1);
        pass(&mut client, &mut origin, b"there").await;
    });
}

#[test]
fn without_relays_nothing_moves() {
    let (ours, theirs) = channel();
    halves::Executor::new().block_on(async {
        send(&theirs, GREETING, SendFlags::empty()).expect("room");
        let done = Handover::default().send(ours).await.expect("a channel");
        assert_eq!((done.moved, done.left), (0, 0));
    });
}

fn send_with(channel: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(5))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    let sent = sendmsg(
        channel,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::empty(),
    );
    sent.expect("room");
}

#[test]
fn wrong_messages_are_refused_and_right_ones_are_still_taken() {
    run(false, async |mut world: World| {
        let old = world.first().await;
        let (mut client, mut origin) = world.connect(&old).await;
        pass(&mut client, &mut origin, b"a").await;
        // A right message, which lacks its descriptors.
        let (ours, theirs) = channel();
        send(&theirs, GREETING, SendFlags::empty()).expect("room");
        assert_eq!(old.handover.send(ours).await.expect("a channel").moved, 1);
        let mut message = vec![0; 8192];
        let (length, _) = recv(&theirs, &mut message[..], RecvFlags::empty()).expect("sent");
        message.truncate(length);

        let (ours, theirs) = channel();
        let new = world.successor(theirs, Server::default());
        let socket = ours.as_fd();
        let wrong: [(&[u8], &[BorrowedFd<'_>]); 6] = [
            (&message, &[]),
            (&message, &[socket]),
            (&message, &[socket, socket]),
            (&message[..length - 1], &[]),
            (&[1; 5000], &[]),
            (&message, &[socket; 4]),
        ];
        for (bytes, fds) in wrong {
            send_with(&ours, bytes, fds);
        }
        let errors = new.until_closed(wrong.len()).await;
        for error in errors {
            assert!(error.contains("the channel of a handover"), "{error}");
        }
        assert_eq!(new.handle.stats().accepted, 0);
        drop(ours);
    });
}
