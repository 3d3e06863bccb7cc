//! The line of each event.

use std::io;

use halves::Reason;
use halves::connection::Credentials;
use halves::server::Limit;

use super::*;

fn logged(event: &Event, level: Level) -> Option<String> {
    line(event, level).map(|line| Format::Text.render(&line, Duration::ZERO))
}

#[test]
fn each_level_logs_more_than_the_one_below() {
    let draining = Event::Draining {
        connections: 3,
        deadline: Duration::from_secs(30),
    };
    for (event, text, min_level) in [
        (
            Event::LimitReached(Limit::MaxConnections(5)),
            "limit reached=\"max_connections=5\"\n",
            Level::Quiet,
        ),
        (
            Event::LimitOver(Limit::ProcessFiles),
            "limit over=\"RLIMIT_NOFILE (EMFILE)\"\n",
            Level::Quiet,
        ),
        (
            Event::AcceptFailed(io::Error::other("no\nluck")),
            "accept_failed error=\"no\\nluck\"\n",
            Level::Quiet,
        ),
        (
            Event::Delaying {
                delay: Duration::from_secs(5),
            },
            "draining delay=5s (signal again to cut connections now)\n",
            Level::Normal,
        ),
        (
            draining,
            "draining connections=3 deadline=30s (signal again to cut connections now)\n",
            Level::Normal,
        ),
        (
            Event::StillDraining {
                connections: 2,
                left: Duration::from_millis(24_995),
            },
            "draining connections=2 left=25s\n",
            Level::Normal,
        ),
        (
            Event::Opened(Peer::default()),
            "opened conn=0 peer=unknown local=unknown\n",
            Level::Verbose,
        ),
    ] {
        for level in [Level::Quiet, Level::Normal, Level::Verbose] {
            let expected = (level >= min_level).then(|| text.to_owned());
            assert_eq!(logged(&event, level), expected, "{event:?} {level:?}");
        }
    }
}

#[test]
fn the_credentials_of_a_peer_are_logged_if_known() {
    for (pid, fields) in [(Some(12), "uid=1000 pid=12"), (None, "uid=1000")] {
        let peer = Peer::default().with_credentials(Credentials::new(pid, 1000, 100));
        let line = logged(&Event::Opened(peer), Level::Verbose);
        let expected = format!("opened conn=0 peer=unknown {fields} local=unknown\n");
        assert_eq!(line, Some(expected));
    }
}

#[test]
fn a_refusal_is_logged_once() {
    for (level, text) in [
        (Level::Normal, "peer=unknown reason=accept_rate\n"),
        (
            Level::Verbose,
            "peer=unknown local=unknown reason=accept_rate\n",
        ),
    ] {
        let event = Event::Refused {
            peer: Peer::default(),
            reason: Reason::AcceptRate,
            error: None,
        };
        assert_eq!(
            logged(&event, level),
            Some(format!("refused conn=0 {text}"))
        );
        assert_eq!(logged(&event, Level::Quiet), None);
    }
}

#[test]
fn suppressed_events_are_counted() {
    for (refused, accept_failed, min_level, text) in [
        (7, 0, Level::Normal, "suppressed refused=7\n"),
        (0, 5, Level::Quiet, "suppressed accept_failed=5\n"),
        (7, 5, Level::Quiet, "suppressed refused=7 accept_failed=5\n"),
    ] {
        let event = Event::Suppressed {
            refused,
            accept_failed,
        };
        for level in [Level::Quiet, Level::Normal, Level::Verbose] {
            let expected = (level >= min_level).then(|| text.to_owned());
            assert_eq!(logged(&event, level), expected, "{event:?} {level:?}");
        }
    }
}

#[test]
fn unsent_bytes_are_logged_at_every_level() {
    let event = Event::Unsent {
        peer: Peer::default(),
        bytes: 6,
    };
    let line = logged(&event, Level::Quiet);
    assert_eq!(
        line.as_deref(),
        Some("unsent conn=0 peer=unknown bytes=6\n")
    );
}

#[test]
fn no_deadline_is_logged_as_off() {
    let event = Event::StillDraining {
        connections: 2,
        left: Duration::MAX,
    };
    let line = logged(&event, Level::Normal);
    assert_eq!(line.as_deref(), Some("draining connections=2 left=off\n"));
}
