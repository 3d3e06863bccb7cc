//! asyncio's `readline`.
//!
//! Two differences are on purpose. A line that is too long stays in the reader, with an error that
//! has the number of bytes that can be passed over; asyncio discards it, with all other input if
//! its end has not arrived. And a last line without its end is an error that has it; asyncio
//! returns it as if it were whole.

use futures_lite::AsyncBufReadExt;

use crate::fed::{fed, incomplete, left, limited, now, read, too_long, while_it_waits};

#[test]
fn a_line_waits_for_its_end_and_leaves_what_is_after_it() {
    let (mut reader, feed) = fed();
    feed.push(b"chunk1 ");
    let line = while_it_waits(reader.line(), || {
        feed.push(b"chunk2 ");
        feed.push(b"chunk3 ");
        feed.push(b"\n chunk4");
    });
    let line = line.expect("not too long").expect("before the end");
    assert_eq!(line, b"chunk1 chunk2 chunk3 \n");
    assert_eq!(left(&mut reader), b" chunk4");
}

#[test]
fn a_line_that_is_there_needs_no_wait() {
    let (mut reader, feed) = fed();
    feed.push(b"line1\n");
    feed.push(b"line2\nline3\n");
    assert_eq!(
        now(reader.line()).expect("a line"),
        Some(b"line1\n".to_vec())
    );
    assert_eq!(left(&mut reader), b"line2\nline3\n");
}

#[test]
fn a_whole_line_that_is_too_long_is_left_and_can_be_passed_over() {
    let (mut reader, feed) = limited(3);
    feed.push(b"li");
    feed.push(b"ne1\nline2\n");
    assert_eq!(too_long(now(reader.line())), 5);
    // As asyncio does: the line is dropped, with its end.
    reader.consume(6);
    assert_eq!(left(&mut reader), b"line2\n");
}

#[test]
fn a_line_is_too_long_before_its_end_has_arrived() {
    let (mut reader, feed) = limited(3);
    feed.push(b"li");
    feed.push(b"ne1");
    feed.push(b"li");
    assert_eq!(too_long(now(reader.line())), 7);
    assert_eq!(left(&mut reader), b"line1li", "all of it is left");
}

#[test]
fn a_line_that_becomes_too_long_while_it_is_waited_for_is_left() {
    for rest in [&b"chunk3\n"[..], b"chunk3\nchunk4\n"] {
        let (mut reader, feed) = limited(7);
        let line = while_it_waits(reader.line(), || {
            feed.push(b"chunk1");
            feed.push(b"chunk2");
            feed.push(rest);
            feed.eof();
        });
        assert_eq!(too_long(line), 18);
        assert_eq!(left(&mut reader), [b"chunk1chunk2", rest].concat());
    }
}

#[test]
fn a_line_may_have_as_many_bytes_as_the_limit_without_its_end() {
    let (mut reader, feed) = limited(7);
    feed.push(b"1234567\n");
    let line = now(reader.line()).expect("at the limit");
    assert_eq!(line.as_deref(), Some(&b"1234567\n"[..]));
    feed.push(b"12345678\n");
    assert_eq!(too_long(now(reader.line())), 8);
    assert_eq!(left(&mut reader), b"12345678\n");
    feed.push(b"12345678");
    assert_eq!(too_long(now(reader.line())), 8);
    assert_eq!(left(&mut reader), b"12345678");
}

#[test]
fn a_last_line_without_its_end_is_incomplete_and_in_the_error() {
    let (mut reader, feed) = fed();
    feed.push(b"some data");
    feed.eof();
    let (partial, expected) = incomplete(now(reader.line()));
    assert_eq!((&partial[..], expected), (&b"some data"[..], None));
    assert!(reader.at_eof());
}

#[test]
fn there_is_no_line_at_the_end_of_input() {
    let (mut reader, feed) = fed();
    feed.eof();
    assert_eq!(now(reader.line()).expect("the end"), None);
    assert_eq!(now(reader.line()).expect("again"), None);
}

#[test]
fn reads_and_lines_take_turns_at_the_same_bytes() {
    let (mut reader, feed) = fed();
    feed.push(b"line1\nline2\nline3\n");
    now(reader.line()).expect("a line");
    assert_eq!(now(read(&mut reader, 7)).expect("it is fed"), b"line2\nl");
    assert_eq!(left(&mut reader), b"ine3\n");
}
