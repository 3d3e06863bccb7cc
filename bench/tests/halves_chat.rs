//! The chat of the benchmark: each queue is bounded in frames and bytes, and sent by the task of
//! its receiver.

#[path = "../../tests/docs/chat.rs"]
mod chat;
#[path = "../../tests/support/harness/mod.rs"]
mod harness;
#[path = "../src/bin/peer-halves-chat.rs"]
#[allow(dead_code, reason = "its main is not run here")]
mod peer;
#[path = "../../tests/support/place.rs"]
mod place;
#[path = "../../tests/support/skip.rs"]
mod skip;

/// The included files use this path.
mod support {
    pub(crate) use crate::{harness, place, skip};
}

use std::sync::Arc;
use std::time::Duration;

use chat::*;
use peer::{MAX_FRAME_BYTES, MAX_QUEUED_BYTES, MAX_QUEUED_FRAMES, Room, SlowClient};

fn room(slow: SlowClient) -> Arc<Room> {
    Arc::new(Room::new(slow))
}

fn new(slow: SlowClient, pipe: usize) -> Chat {
    let room = room(slow);
    Chat::new(pipe, async move |client| room.chat(client).await)
}

#[test]
fn a_client_that_does_not_read_is_disconnected_when_its_queue_is_full() {
    let chat = new(SlowClient::Disconnect, FRAMES_IN_PIPE * NUMBERED_BYTES);
    let (mut talker, mut silent) = (chat.join(), chat.join());
    let most = FRAMES_IN_PIPE + MAX_QUEUED_FRAMES;
    chat.talk(&mut talker, 0..most);
    assert_eq!(chat.served.open(), 2);
    chat.talk(&mut talker, most..most + 1);
    assert_eq!(chat.served.open(), 1);
    // The client receives the bytes that its socket had taken, then the end.
    for number in 0..FRAMES_IN_PIPE {
        assert_eq!(chat.receive(&mut silent), Some(numbered(number)));
    }
    assert_eq!(chat.receive(&mut silent), None);
    drop(silent);
    chat.talk(&mut talker, 0..10);
    let closed = "closed 2 error: the client does not read its frames";
    assert_eq!(chat.served.events(), [closed]);
}

#[test]
fn a_queue_is_bounded_in_bytes_too() {
    let chat = new(SlowClient::Disconnect, 64);
    let (mut talker, _silent) = (chat.join(), chat.join());
    let frame = [vec![b'x'; MAX_FRAME_BYTES], vec![0]].concat();
    for _ in 0..MAX_QUEUED_BYTES / frame.len() {
        chat.say(&mut talker, &frame);
        assert_eq!(chat.receive(&mut talker).as_ref(), Some(&frame));
    }
    assert_eq!(chat.served.open(), 2);
    chat.say(&mut talker, &frame);
    assert_eq!(chat.receive(&mut talker), Some(frame));
    assert_eq!(chat.served.open(), 1);
}

#[test]
fn queued_frames_are_sent_by_the_task_of_their_receiver() {
    let chat = new(SlowClient::Disconnect, FRAMES_IN_PIPE * NUMBERED_BYTES);
    check_the_queue(&chat, FRAMES_IN_PIPE + MAX_QUEUED_FRAMES);
}

#[test]
fn dropping_the_oldest_keeps_the_newest_and_frames_whole() {
    // The first frame of the queue is unsent, or a part of it is sent.
    for part in [0, 4] {
        let chat = new(
            SlowClient::DropOldest,
            FRAMES_IN_PIPE * NUMBERED_BYTES + part,
        );
        let begun = usize::from(part > 0);
        check_dropping_the_oldest(&chat, FRAMES_IN_PIPE + begun, MAX_QUEUED_FRAMES - begun);
    }
}

#[test]
fn all_clients_receive_all_frames_in_the_same_order() {
    check_order(&new(SlowClient::Disconnect, 1024));
}

#[test]
fn no_frame_overtakes_a_queued_frame() {
    check_that_nothing_overtakes(&new(
        SlowClient::Disconnect,
        FRAMES_IN_PIPE * NUMBERED_BYTES,
    ));
}

#[test]
fn a_frame_that_is_too_long_ends_only_its_sender() {
    check_the_limit(
        &new(SlowClient::Disconnect, 2 * MAX_FRAME_BYTES),
        MAX_FRAME_BYTES,
    );
}

#[test]
fn a_client_that_ends_its_half_receives_its_queue_and_its_partial_frame_is_dropped() {
    check_leaving(&new(
        SlowClient::Disconnect,
        FRAMES_IN_PIPE * NUMBERED_BYTES,
    ));
}

#[test]
fn a_drain_ends_an_idle_client_once_its_queue_is_sent() {
    check_the_drain(
        new(SlowClient::Disconnect, FRAMES_IN_PIPE * NUMBERED_BYTES),
        Duration::ZERO,
    );
}

#[test]
fn a_client_that_never_reads_does_not_stall_the_others_and_is_disconnected() {
    let room = room(SlowClient::Disconnect);
    check_a_silent_socket(async move |client| room.chat(client).await);
}

#[test]
fn a_thousand_clients_receive_the_frames_of_each_in_order() {
    let this = "a_thousand_clients_receive_the_frames_of_each_in_order";
    let room = room(SlowClient::Disconnect);
    check_a_thousand_clients(this, async move |client| room.chat(client).await);
}
