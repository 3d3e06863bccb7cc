//! asyncio's `readuntil`, with one separator, and with several as since 3.13.
//!
//! One difference is on purpose: at the end of input, with no byte of a frame, there is no frame;
//! asyncio raises an empty `IncompleteReadError`.

use futures_lite::future::{block_on, poll_once};

use crate::fed::{fed, incomplete, left, limited, now, too_long, while_it_waits};

#[test]
#[should_panic(expected = "an empty separator")]
fn an_empty_separator_is_refused() {
    let _ = now(fed().0.until(&[b""]));
}

#[test]
#[should_panic(expected = "no separator")]
fn no_separator_at_all_is_refused() {
    let _ = now(fed().0.until(&[]));
}

#[test]
fn a_separator_of_several_bytes_ends_a_frame_and_belongs_to_it() {
    let (mut reader, feed) = fed();
    for (fed, rest) in [
        (&b"lineAAA"[..], &b""[..]),
        (b"lineAAA", b""),
        (b"lineAAAxxx", b"xxx"),
    ] {
        feed.push(fed);
        let frame = now(reader.until(&[b"AAA"])).expect("a frame");
        assert_eq!(frame.as_deref(), Some(&b"lineAAA"[..]));
        assert_eq!(left(&mut reader), rest);
    }
}

#[test]
fn a_separator_may_come_in_pieces_and_its_beginning_may_be_none() {
    for pieces in [
        &[&b"QWEaa"[..], b"XYaa", b"a"][..],
        &[b"QWEaa", b"XYa", b"aa"],
        &[b"aaa"],
        &[b"Xaaa"],
        &[b"XXX", b"a", b"a", b"a"],
    ] {
        let (mut reader, feed) = fed();
        let mut frame = None;
        for piece in pieces {
            assert_eq!(frame, None, "nothing before the last piece");
            feed.push(piece);
            let came = block_on(poll_once(reader.until(&[b"aaa"])));
            frame = came.map(|frame| frame.expect("a frame").expect("not the end"));
        }
        assert_eq!(frame, Some(pieces.concat()));
        assert_eq!(left(&mut reader), b"");
    }
}

#[test]
fn the_end_of_input_before_a_separator_is_an_error_with_the_bytes() {
    let (mut reader, feed) = fed();
    feed.push(b"some dataAA");
    feed.eof();
    let error = now(reader.until(&[b"AAA"])).expect_err("no end");
    assert_eq!(
        error.to_string(),
        "the input ended in a frame, after 11 bytes"
    );
    let (partial, expected) = incomplete::<()>(Err(error));
    assert_eq!((&partial[..], expected), (&b"some dataAA"[..], None));
    assert_eq!(left(&mut reader), b"");
}

#[test]
fn there_is_no_frame_at_the_end_of_input() {
    let (mut reader, feed) = fed();
    let frame = while_it_waits(reader.until(&[b"AAA"]), || feed.eof());
    assert_eq!(frame.expect("the end"), None);
}

#[test]
fn a_frame_that_is_too_long_is_left_with_or_without_its_separator() {
    let (mut reader, feed) = limited(3);
    feed.push(b"some dataAA");
    assert_eq!(too_long(now(reader.until(&[b"AAA"]))), 9);
    // The last two bytes may begin a separator, and now they do.
    feed.push(b"A");
    let again = now(reader.until(&[b"AAA"])).expect_err("it is as long as before");
    assert_eq!(
        again.to_string(),
        "no end of the frame in 9 bytes: the limit is 3"
    );
    assert_eq!(left(&mut reader), b"some dataAAA");
}

#[test]
fn of_several_separators_the_one_counts_that_ends_first() {
    let (mut reader, feed) = fed();
    let ends: &[&[u8]] = &[b"AAA", b"BBB"];
    for fed in [&b"lineAAA"[..], b"otherAAA", b"fooBBB"] {
        feed.push(fed);
        let frame = now(reader.until(ends)).expect("a frame");
        assert_eq!(frame.as_deref(), Some(fed));
    }
    // The order and the lengths of the separators do not matter.
    for ends in [&[&b"BC"[..], b"ABCD"], &[b"ABCD", b"BC"]] {
        feed.push(b"xxABCDxx");
        let frame = now(reader.until(ends)).expect("a frame");
        assert_eq!(frame.as_deref(), Some(&b"xxABC"[..]));
        assert_eq!(left(&mut reader), b"Dxx");
    }
}

#[test]
fn of_several_separators_the_limit_is_before_the_one_that_counts() {
    let (mut reader, feed) = limited(3);
    let ends: &[&[u8]] = &[b"A", b"dataA"];
    feed.push(b"some dataA");
    assert_eq!(too_long(now(reader.until(ends))), 9);
    assert_eq!(left(&mut reader), b"some dataA");
}

#[test]
fn a_short_separator_is_found_before_there_is_room_for_a_long_one() {
    let (mut reader, feed) = fed();
    let ends: &[&[u8]] = &[b"longest sep", b"A"];
    feed.push(b"data");
    let frame = while_it_waits(reader.until(ends), || feed.push(b"A"));
    assert_eq!(frame.expect("a frame").as_deref(), Some(&b"dataA"[..]));
}
