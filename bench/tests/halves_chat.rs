//! The chat of the benchmark: a queue is bounded in frames and in bytes, and is sent by its receiver.

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

/// The included files name these so.
mod support {
    pub(crate) use crate::{harness, place, skip};
}

use std::sync::Arc;
use std::time::Duration;

use chat::*;
use peer::{FRAME, QUEUED_BYTES, QUEUED_FRAMES, Room, Slow};

fn room(slow: Slow) -> Arc<Room> {
    Arc::new(Room::new(slow))
}

fn new(slow: Slow, pipe: usize) -> Chat {
    let room = room(slow);
    Chat::new(pipe, async move |client| room.chat(client).await)
}

#[test]
fn one_who_does_not_read_is_disconnected_when_its_queue_is_full_and_not_before() {
    let chat = new(Slow::Disconnect, IN_PIPE * NUMBERED);
    let (mut talker, mut silent) = (chat.join(), chat.join());
    let most = IN_PIPE + QUEUED_FRAMES;
    chat.talk(&mut talker, 0..most);
    assert_eq!(chat.served.open(), 2);
    chat.talk(&mut talker, most..most + 1);
    assert_eq!(chat.served.open(), 1);
    // Everything that it had taken, and the end.
    for number in 0..IN_PIPE {
        assert_eq!(chat.hear(&mut silent), Some(numbered(number)));
    }
    assert_eq!(chat.hear(&mut silent), None);
    drop(silent);
    chat.talk(&mut talker, 0..10);
    let gone = "closed 2 error: it does not hear what is said";
    assert_eq!(chat.served.events(), [gone]);
}

#[test]
fn a_queue_is_full_of_bytes_as_well() {
    let chat = new(Slow::Disconnect, 64);
    let (mut talker, _silent) = (chat.join(), chat.join());
    let frame = [vec![b'x'; FRAME], vec![0]].concat();
    for _ in 0..QUEUED_BYTES / frame.len() {
        chat.say(&mut talker, &frame);
        assert_eq!(chat.hear(&mut talker).as_ref(), Some(&frame));
    }
    assert_eq!(chat.served.open(), 2);
    chat.say(&mut talker, &frame);
    assert_eq!(chat.hear(&mut talker), Some(frame));
    assert_eq!(chat.served.open(), 1);
}

#[test]
fn what_waits_is_sent_by_the_task_of_who_reads_it() {
    let chat = new(Slow::Disconnect, IN_PIPE * NUMBERED);
    let (mut talker, mut late) = (chat.join(), chat.join());
    let most = IN_PIPE + QUEUED_FRAMES;
    chat.talk(&mut talker, 0..most);
    let all: Vec<_> = (0..most).collect();
    assert_eq!(chat.numbers(&mut late, most - 1), all);
    // And again, as its queue is empty now.
    chat.talk(&mut talker, 0..most);
    assert_eq!(chat.numbers(&mut late, most - 1), all);
}

#[test]
fn dropping_the_oldest_keeps_the_newest_and_frames_whole() {
    // The first that waits has left as a whole or not at all, or for a part.
    for part in [0, 4] {
        let chat = new(Slow::DropOldest, IN_PIPE * NUMBERED + part);
        let (mut talker, mut late) = (chat.join(), chat.join());
        let last = IN_PIPE + 3 * QUEUED_FRAMES;
        chat.talk(&mut talker, 0..last + 1);
        let begun = IN_PIPE + usize::from(part > 0);
        let newest = last + 1 - (QUEUED_FRAMES - usize::from(part > 0));
        let expected: Vec<_> = (0..begun).chain(newest..=last).collect();
        assert_eq!(chat.numbers(&mut late, last), expected);
        chat.talk(&mut talker, 0..1);
        assert_eq!(chat.hear(&mut late), Some(numbered(0)));
        assert_eq!(chat.served.open(), 2);
    }
}

#[test]
fn everyone_hears_everyone_in_the_same_order() {
    check_order(&new(Slow::Disconnect, 1024));
}

#[test]
fn nothing_is_said_past_what_waits() {
    check_that_nothing_overtakes(&new(Slow::Disconnect, IN_PIPE * NUMBERED));
}

#[test]
fn a_frame_that_is_too_long_ends_only_who_sent_it() {
    check_the_limit(&new(Slow::Disconnect, 2 * FRAME), FRAME);
}

#[test]
fn who_leaves_hears_what_waited_for_it_and_half_a_frame_is_none() {
    check_leaving(&new(Slow::Disconnect, IN_PIPE * NUMBERED));
}

#[test]
fn a_drain_ends_who_has_nothing_to_say_when_it_has_heard_everything() {
    check_the_drain(new(Slow::Disconnect, IN_PIPE * NUMBERED), Duration::ZERO);
}

#[test]
fn one_who_never_reads_a_socket_stalls_nobody_and_is_disconnected() {
    let room = room(Slow::Disconnect);
    check_a_silent_socket(async move |client| room.chat(client).await);
}

#[test]
fn a_thousand_clients_hear_everything_in_the_order_in_which_each_says_it() {
    let this = "a_thousand_clients_hear_everything_in_the_order_in_which_each_says_it";
    let room = room(Slow::Disconnect);
    check_a_thousand_clients(this, async move |client| room.chat(client).await);
}
