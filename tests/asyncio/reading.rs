//! asyncio's `read` and `at_eof`.

use futures_lite::future::{block_on, poll_once};
use futures_lite::{AsyncBufReadExt, AsyncReadExt};

use crate::fed::{fed, left, limited, now, read, while_it_waits};

#[test]
fn a_stream_that_is_fed_nothing_yields_nothing_and_has_not_ended() {
    let (mut reader, feed) = fed();
    feed.push(b"");
    assert!(block_on(poll_once(reader.fill_buf())).is_none());
    assert!(!reader.at_eof());
}

#[test]
fn input_can_be_seen_without_taking_it() {
    let (mut reader, feed) = fed();
    feed.push(b"line1\nline2\n");
    let seen = now(reader.fill_buf()).expect("it is there").to_vec();
    assert_eq!(seen, b"line1\nline2\n");
    assert_eq!(left(&mut reader), seen);
}

#[test]
fn a_read_of_no_bytes_takes_none() {
    let (mut reader, feed) = fed();
    feed.push(b"line1\n");
    assert_eq!(now(read(&mut reader, 0)).expect("nothing"), b"");
    assert_eq!(left(&mut reader), b"line1\n");
}

#[test]
fn a_read_waits_and_returns_less_than_it_asked_for() {
    let (mut reader, feed) = fed();
    let got = while_it_waits(read(&mut reader, 30), || feed.push(b"line1\nline2\n"));
    assert_eq!(got.expect("it is fed"), b"line1\nline2\n");
    assert_eq!(left(&mut reader), b"");
}

#[test]
fn a_read_takes_no_more_than_it_asked_for() {
    let (mut reader, feed) = fed();
    feed.push(b"line1");
    feed.push(b"line2");
    assert_eq!(now(read(&mut reader, 5)).expect("it is fed"), b"line1");
    assert_eq!(left(&mut reader), b"line2");
}

#[test]
fn a_read_at_the_end_of_input_is_empty() {
    let (mut reader, feed) = fed();
    let got = while_it_waits(read(&mut reader, 1024), || feed.eof());
    assert_eq!(got.expect("the end"), b"");
    assert_eq!(now(read(&mut reader, 1024)).expect("again"), b"");
}

#[test]
fn everything_up_to_the_end_of_input_can_be_read_at_once() {
    let (mut reader, feed) = fed();
    let mut all = Vec::new();
    let got = while_it_waits(reader.read_to_end(&mut all), || {
        feed.push(b"chunk1\n");
        feed.push(b"chunk2");
        feed.eof();
    });
    assert_eq!(got.expect("the end"), 13);
    assert_eq!(all, b"chunk1\nchunk2");
}

#[test]
fn the_limit_is_on_frames_and_not_on_reads() {
    let (mut reader, feed) = limited(3);
    feed.push(b"chunk");
    assert_eq!(now(read(&mut reader, 5)).expect("it is fed"), b"chunk");
    assert_eq!(left(&mut reader), b"");
}

/// asyncio refuses a limit of 0. Here it is valid: only an empty line is not too long.
#[test]
fn a_limit_of_nothing_lets_an_empty_line_through() {
    let (mut reader, feed) = limited(0);
    feed.push(b"\na\n");
    assert_eq!(now(reader.line()).expect("no bytes"), Some(b"\n".to_vec()));
    now(reader.line()).expect_err("one byte");
}

/// asyncio has the end once it arrives; a reader here has it once a read finds it.
#[test]
fn the_end_is_known_when_it_was_read_and_nothing_is_left() {
    let (mut reader, feed) = fed();
    assert!(!reader.at_eof());
    feed.push(b"some data\n");
    now(reader.line()).expect("a line");
    assert!(!reader.at_eof());

    feed.push(b"some data\n");
    feed.eof();
    now(reader.line()).expect("a line");
    assert!(!reader.at_eof(), "it was not read");
    assert_eq!(now(reader.line()).expect("the end"), None);
    assert!(reader.at_eof());
}

#[test]
fn bytes_that_were_seen_and_left_are_before_the_end() {
    let (mut reader, feed) = fed();
    feed.push(b"ab");
    feed.eof();
    let mut all = Vec::new();
    now(reader.fill_buf()).expect("two bytes");
    assert!(!reader.at_eof());
    now(reader.read_to_end(&mut all)).expect("the end");
    assert!(reader.at_eof());
}
