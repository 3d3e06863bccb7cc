//! asyncio's `readexactly`.
//!
//! One difference is on purpose: the limit applies here too, so that a number from a peer cannot
//! make a server keep a gigabyte. asyncio's `readexactly` has no limit.

use crate::fed::{fed, incomplete, left, limited, now, too_long, while_it_waits};

#[test]
fn exactly_of_zero_bytes_returns_at_once() {
    let (mut reader, feed) = fed();
    assert_eq!(now(reader.exactly(0)).expect("nothing"), b"");
    feed.push(b"line1\n");
    assert_eq!(now(reader.exactly(0)).expect("nothing"), b"");
    assert_eq!(left(&mut reader), b"line1\n");
}

#[test]
fn exactly_so_many_bytes_are_waited_for_and_the_rest_is_left() {
    let (mut reader, feed) = fed();
    let got = while_it_waits(reader.exactly(12), || {
        for _ in 0..3 {
            feed.push(b"line1\n");
        }
    });
    assert_eq!(got.expect("enough"), b"line1\nline1\n");
    assert_eq!(left(&mut reader), b"line1\n");
}

#[test]
fn more_than_the_limit_is_refused_and_nothing_is_read() {
    let (mut reader, feed) = limited(4);
    feed.push(b"chunk");
    assert_eq!(too_long(now(reader.exactly(5))), 0);
    assert_eq!(reader.peer().bytes_in(), 0);
    assert_eq!(now(reader.exactly(4)).expect("at the limit"), b"chun");
    reader.set_frame_limit(5);
    feed.push(b"chunk");
    assert_eq!(now(reader.exactly(5)).expect("at the limit"), b"kchun");
}

#[test]
fn the_end_of_input_before_enough_is_an_error_with_the_bytes() {
    let (mut reader, feed) = fed();
    let got = while_it_waits(reader.exactly(36), || {
        feed.push(b"line1\nline2\nline3\n");
        feed.eof();
    });
    let error = got.expect_err("half of it");
    assert_eq!(
        error.to_string(),
        "the input ended in a frame, after 18 bytes of 36"
    );
    let (partial, expected) = incomplete::<()>(Err(error));
    assert_eq!(partial, b"line1\nline2\nline3\n");
    assert_eq!(expected, Some(36));
    assert_eq!(left(&mut reader), b"");
}

#[test]
fn the_end_of_input_before_any_byte_is_the_same_error() {
    let (mut reader, feed) = fed();
    feed.eof();
    assert_eq!(incomplete(now(reader.exactly(2))), (vec![], Some(2)));
}
