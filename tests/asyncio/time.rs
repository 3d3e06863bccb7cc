//! asyncio's `wait_for`, on a clock that is moved by hand.

use std::io::ErrorKind;
use std::time::Duration;

use futures_lite::future::{self, block_on, poll_once};
use halves::Clock;

use crate::fed::{fed, left, now, while_it_waits};

const WAIT: Duration = Duration::from_secs(5);

#[test]
fn a_call_in_time_returns_its_result() {
    let (clock, manual) = Clock::manual();
    let (mut reader, feed) = fed();
    let line = while_it_waits(clock.timeout(WAIT, reader.line()), || {
        manual.advance(WAIT - Duration::from_nanos(1));
        feed.push(b"line\n");
    });
    let line = line.expect("in time").expect("a line");
    assert_eq!(line.as_deref(), Some(&b"line\n"[..]));
}

#[test]
fn input_at_the_end_of_the_time_is_in_time() {
    let (clock, manual) = Clock::manual();
    let (mut reader, feed) = fed();
    let line = while_it_waits(clock.timeout(WAIT, reader.line()), || {
        manual.advance(WAIT);
        feed.push(b"line\n");
    });
    line.expect("in time").expect("a line");
    let ready = now(clock.timeout(Duration::ZERO, future::ready(1)));
    assert_eq!(ready.expect("it need not wait"), 1);
}

#[test]
fn a_late_call_is_cancelled_and_has_taken_nothing() {
    let (clock, manual) = Clock::manual();
    let (mut reader, feed) = fed();
    feed.push(b"half");
    let line = while_it_waits(clock.timeout(WAIT, reader.line()), || manual.advance(WAIT));
    let late = line.expect_err("the time is over");
    assert_eq!(late.kind(), ErrorKind::TimedOut);
    assert_eq!(left(&mut reader), b"half");
}

#[test]
fn a_time_that_no_clock_can_hold_is_never_over() {
    let (clock, manual) = Clock::manual();
    let mut call = Box::pin(clock.timeout(Duration::MAX, future::pending::<()>()));
    assert!(block_on(poll_once(&mut call)).is_none());
    manual.advance(Duration::from_secs(1 << 40));
    assert!(block_on(poll_once(&mut call)).is_none());
}
