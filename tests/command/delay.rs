//! The delay between the signal to end and the end: the command is not ready any more, and still
//! accepts.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::serve;

#[test]
fn in_the_delay_it_accepts_and_answers() {
    let mut server = serve(&["upper", "--drain-delay", "1h"]);
    let mut early = server.client();
    early.ask("here");
    server.signal(Signal::TERM);
    assert_eq!(
        server.wait_for("draining"),
        "draining delay=3600s (signal again to cut connections now)"
    );
    for _ in 0..3 {
        let mut late = server.client();
        assert_eq!(late.ask("me too"), "ME TOO");
        assert_eq!(late.finish(), b"");
    }
    assert_eq!(early.ask("and me"), "AND ME");
    server.signal(Signal::USR1);
    server.wait_for("stats open=1 accepted=4 eof=3 ");
}

#[test]
fn after_the_delay_it_drains() {
    let mut server = serve(&["upper", "--drain-delay", "300ms"]);
    server.client().ask("here");
    server.wait_for("closed conn=1 ");
    let begin = Instant::now();
    server.end();
    assert!(begin.elapsed() >= Duration::from_millis(300));
    assert_eq!(
        server.log[server.log.len() - 3..],
        [
            "draining delay=300ms (signal again to cut connections now)",
            "draining connections=0 deadline=30s (signal again to cut connections now)",
            "ended finished=0 aborted=0"
        ]
    );
}

#[test]
fn a_second_signal_forces_the_end_in_the_delay() {
    for (second, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut server = serve(&["upper", "--drain-delay", "1h"]);
        let mut client = server.client();
        client.ask("here");
        server.signal(Signal::TERM);
        server.wait_for("draining delay=3600s ");
        server.signal(second);
        assert_eq!(server.code(), Some(code));
        assert_eq!(server.count("ended finished=0 aborted=1"), 1);
    }
}
