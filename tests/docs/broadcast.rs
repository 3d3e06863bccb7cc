//! The chat of the example: every client receives all frames in order, and a slow client does not
//! delay others.

#[path = "../../examples/broadcast.rs"]
#[allow(dead_code, reason = "its main is not run here")]
mod example;

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use example::{MAX_FRAME_BYTES, MAX_QUEUED_FRAMES, Room};
use futures_lite::{AsyncWriteExt, future};

use crate::chat::*;

/// The frame that has left the queue and waits for room in the pipe.
const FRAMES_BEING_SENT: usize = 1;

fn room(drop_oldest: bool) -> Arc<Room> {
    Arc::new(Room {
        clients: Mutex::default(),
        drop_oldest,
    })
}

fn new(drop_oldest: bool, pipe: usize) -> Chat {
    let room = room(drop_oldest);
    Chat::new(pipe, async move |client| room.chat(client).await)
}

#[test]
fn a_client_that_does_not_read_is_disconnected_once_its_queue_is_full() {
    let chat = new(false, FRAMES_IN_PIPE * NUMBERED_BYTES);
    let (mut talker, mut silent) = (chat.join(), chat.join());
    let most = FRAMES_IN_PIPE + FRAMES_BEING_SENT + MAX_QUEUED_FRAMES;
    chat.talk(&mut talker, 0..most);
    assert_eq!(chat.served.open(), 2);
    chat.talk(&mut talker, most..most + 1);
    assert_eq!(chat.served.open(), 1);
    let reset = chat.now(silent.reader.line()).expect_err("no more frames");
    assert_eq!(io::Error::from(reset).kind(), ErrorKind::ConnectionReset);
    chat.talk(&mut talker, 0..10);
    assert_eq!(chat.served.events(), ["closed 2 error"]);
}

#[test]
fn bursts_at_the_same_time_disconnect_no_client_that_reads() {
    const TALKERS: usize = 40;
    const BURST: usize = 100;
    let chat = new(false, TALKERS * BURST);
    let mut talkers = [(); TALKERS].map(|()| chat.join());
    for talker in &mut talkers {
        // No task runs before all bursts are there.
        let write = future::poll_once(talker.writer.write_all(&[0; BURST]));
        assert!(matches!(future::block_on(write), Some(Ok(()))));
    }
    chat.world.settle();
    assert_eq!(chat.served.open(), TALKERS);
    for talker in &mut talkers {
        for _ in 0..TALKERS * BURST {
            assert_eq!(chat.receive(talker).as_deref(), Some(&b"\0"[..]));
        }
    }
}

#[test]
fn a_client_that_has_left_keeps_no_queue_when_another_joins() {
    let room = room(false);
    let handler = room.clone();
    let chat = Chat::new(1024, async move |client| handler.chat(client).await);
    for _ in 0..10 {
        drop(chat.join());
        chat.world.settle();
    }
    let _client = chat.join();
    assert_eq!(room.clients.lock().expect("no panic").len(), 1);
}

#[test]
fn queued_frames_are_sent_by_the_task_of_their_reader() {
    let chat = new(false, FRAMES_IN_PIPE * NUMBERED_BYTES);
    check_the_queue(
        &chat,
        FRAMES_IN_PIPE + FRAMES_BEING_SENT + MAX_QUEUED_FRAMES,
    );
}

#[test]
fn dropping_the_oldest_keeps_the_newest_and_frames_whole() {
    // The frame that is being sent has not left at all, or in part.
    for part in [0, 4] {
        let chat = new(true, FRAMES_IN_PIPE * NUMBERED_BYTES + part);
        check_dropping_the_oldest(&chat, FRAMES_IN_PIPE + FRAMES_BEING_SENT, MAX_QUEUED_FRAMES);
    }
}

#[test]
fn every_client_receives_every_frame_in_the_same_order() {
    check_order(&new(false, 1024));
}

#[test]
fn no_frame_overtakes_queued_ones() {
    check_that_nothing_overtakes(&new(false, FRAMES_IN_PIPE * NUMBERED_BYTES));
}

#[test]
fn a_frame_that_is_too_long_ends_only_its_sender() {
    check_the_limit(&new(false, 2 * MAX_FRAME_BYTES), MAX_FRAME_BYTES);
}

#[test]
fn a_client_that_leaves_receives_its_queue_and_half_a_frame_is_none() {
    check_leaving(&new(false, FRAMES_IN_PIPE * NUMBERED_BYTES));
}

#[test]
fn a_drain_ends_a_silent_client_once_it_has_received_everything() {
    check_the_drain(
        new(false, FRAMES_IN_PIPE * NUMBERED_BYTES),
        Duration::from_secs(1),
    );
}

#[test]
fn a_client_that_never_reads_is_disconnected_and_stalls_no_other() {
    let room = room(false);
    check_a_silent_socket(async move |client| room.chat(client).await);
}

#[test]
fn a_thousand_clients_receive_the_frames_of_each_sender_in_order() {
    let this = "a_thousand_clients_receive_the_frames_of_each_sender_in_order";
    let room = room(false);
    check_a_thousand_clients(this, async move |client| room.chat(client).await);
}
