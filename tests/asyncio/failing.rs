//! Streams that fail, and calls that are cancelled, as by asyncio's `set_exception` and `cancel`.
//!
//! One difference is on purpose: bytes from before the error are read before it. asyncio raises at
//! once, whatever is in the buffer.

use std::io::ErrorKind::{ConnectionReset, TimedOut};

use futures_lite::AsyncReadExt;

use crate::fed::{cancel, failed, fed, left, now, read, while_it_waits};

#[test]
fn a_read_fails_with_the_error_of_the_stream_after_the_bytes_before_it() {
    let (mut reader, feed) = fed();
    feed.push(b"line\n");
    assert_eq!(now(read(&mut reader, 2)).expect("two"), b"li");
    feed.fail(TimedOut);
    assert_eq!(now(read(&mut reader, 3)).expect("three"), b"ne\n");
    let error = now(read(&mut reader, 2)).expect_err("it has failed");
    assert_eq!(error.kind(), TimedOut);
}

#[test]
fn a_line_fails_with_the_error_of_the_stream() {
    let (mut reader, feed) = fed();
    feed.push(b"line\n");
    now(reader.line()).expect("a line");
    feed.fail(TimedOut);
    assert_eq!(failed(now(reader.line())), TimedOut);
}

#[test]
fn exactly_fails_with_the_error_of_the_stream() {
    let (mut reader, feed) = fed();
    feed.push(b"line\n");
    assert_eq!(now(reader.exactly(2)).expect("two"), b"li");
    feed.fail(TimedOut);
    assert_eq!(failed(now(reader.exactly(4))), TimedOut);
    assert_eq!(now(reader.exactly(3)).expect("they had come"), b"ne\n");
}

#[test]
fn an_error_wakes_the_call_that_waits() {
    let (mut reader, feed) = fed();
    let line = while_it_waits(reader.line(), || feed.fail(ConnectionReset));
    assert_eq!(failed(line), ConnectionReset);
}

#[test]
fn a_lost_connection_has_no_end_and_a_late_one_may_go_on() {
    for (kind, ends) in [(ConnectionReset, false), (TimedOut, true)] {
        let (mut reader, feed) = fed();
        feed.fail(kind);
        assert_eq!(failed(now(reader.line())), kind);
        feed.eof();
        assert_eq!(now(reader.line()).is_ok(), ends, "{kind}");
        assert_eq!(reader.at_eof(), ends);
    }
}

#[test]
fn an_error_after_a_cancelled_call_is_returned_by_the_next() {
    let (mut reader, feed) = fed();
    cancel(reader.line());
    feed.fail(ConnectionReset);
    assert_eq!(failed(now(reader.line())), ConnectionReset);
}

#[test]
fn a_cancelled_call_has_taken_nothing() {
    let (mut reader, feed) = fed();
    feed.push(b"half ");
    cancel(reader.line());
    cancel(reader.exactly(6));
    cancel(reader.until(&[b"\0", b"\r\n"]));
    feed.push(b"a line\n");
    let line = now(reader.line()).expect("a line");
    assert_eq!(line.as_deref(), Some(&b"half a line\n"[..]));
    cancel(reader.read(&mut [0]));
    feed.push(b"b");
    assert_eq!(left(&mut reader), b"b");
}
