//! What the manager hears, on a clock that is moved by hand.

use std::cell::Cell;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use futures_lite::future;
use halves::stats::Stats;
use halves::time::ManualClock;
use halves::{Clock, Shutdown};
use smol::Async;
use smol::channel::{self, Sender};

use super::super::format::Format;
use super::super::log::{Level, Log};
use super::Notice;
use super::manager::Manager;
use super::notifier::Notifier;

const SECOND: Duration = Duration::from_secs(1);

/// The other side: a manager, the hand that moves the clock, and what goes on in the server.
struct Test {
    socket: Async<UnixDatagram>,
    manual: ManualClock,
    open: Cell<u64>,
    stop: Shutdown,
    notices: Sender<Notice>,
}

impl Test {
    async fn hears(&self, message: &str) {
        let mut buf = [0; 1024];
        let length = self.socket.recv(&mut buf).await.expect("a message");
        assert_eq!(str::from_utf8(&buf[..length]), Ok(message));
    }

    /// Moves the clock second by second, as a leap would skip what is said in between.
    async fn pass(&self, seconds: u32) {
        for _ in 0..seconds {
            self.manual.advance(SECOND);
            for _ in 0..10 {
                future::yield_now().await;
            }
        }
    }

    async fn leave(&self, notice: Notice) {
        self.notices.send(notice).await.expect("it is heard");
    }
}

/// Runs a notifier beside the test, which is to end it.
fn notifier(watchdog: Option<Duration>, patience: Duration, test: impl AsyncFnOnce(&Test)) {
    let dir = tempfile::tempdir_in("/tmp").expect("a directory");
    let path = dir.path().join("notify");
    let socket = Async::<UnixDatagram>::bind(&path).expect("a socket");
    let log = Log::start(Format::Text, Level::Normal).expect("a thread");
    let manager = Manager::new(path.as_os_str(), log.lines().clone()).expect("a path");
    let (clock, manual) = Clock::manual();
    let (to, notices) = channel::unbounded();
    let here = Test {
        socket,
        manual,
        open: Cell::default(),
        stop: Shutdown::default(),
        notices: to,
    };
    let stats = || {
        let mut stats = Stats::default();
        (stats.open, stats.accepted) = (here.open.get(), here.open.get());
        stats
    };
    let notifier = Notifier::new(manager, clock, watchdog, patience);
    let notifier = notifier.run(notices, stats, here.stop.requested());
    let test = async {
        here.hears("READY=1\nSTATUS=serving open=0 accepted=0 refused=0\n")
            .await;
        test(&here).await;
    };
    smol::block_on(future::zip(notifier, test));
}

#[test]
fn the_status_is_said_every_five_seconds_where_it_has_changed() {
    notifier(None, SECOND, async |manager| {
        manager.pass(60).await;
        manager.open.set(3);
        manager.pass(5).await;
        manager
            .hears("STATUS=serving open=3 accepted=3 refused=0\n")
            .await;
        manager.pass(60).await;
        manager.leave(Notice::Ended).await;
        manager.hears("STOPPING=1\n").await;
    });
}

#[test]
fn a_sign_of_life_is_given_after_half_of_the_time_that_the_watchdog_waits() {
    notifier(Some(4 * SECOND), SECOND, async |manager| {
        for _ in 0..10 {
            manager.pass(2).await;
            manager.hears("WATCHDOG=1\n").await;
        }
        manager.pass(1).await;
        manager.leave(Notice::Ended).await;
        manager.hears("STOPPING=1\n").await;
    });
}

#[test]
fn a_drain_asks_for_the_time_that_it_may_take_step_by_step() {
    notifier(None, 22 * SECOND, async |manager| {
        manager.open.set(2);
        manager.stop.drain();
        manager
            .hears(
                "STOPPING=1\nSTATUS=draining open=2 accepted=2 refused=0\n\
                 EXTEND_TIMEOUT_USEC=15000000\n",
            )
            .await;
        for left in [15, 15, 12, 7, 5, 5] {
            manager.pass(5).await;
            manager
                .hears(&format!("EXTEND_TIMEOUT_USEC={left}000000\n"))
                .await;
        }
        manager.leave(Notice::Ended).await;
    });
}

#[test]
fn a_drain_without_a_deadline_is_extended_all_the_same() {
    notifier(None, Duration::MAX, async |manager| {
        manager.stop.drain();
        manager
            .hears(
                "STOPPING=1\nSTATUS=draining open=0 accepted=0 refused=0\n\
                 EXTEND_TIMEOUT_USEC=15000000\n",
            )
            .await;
        manager.pass(5).await;
        manager.hears("EXTEND_TIMEOUT_USEC=15000000\n").await;
        manager.leave(Notice::Ended).await;
    });
}

#[test]
fn who_reloads_is_ready_again_but_not_while_it_ends() {
    notifier(None, SECOND, async |manager| {
        let reloading = || Notice::Reloading("RELOADING=1\nMONOTONIC_USEC=5\n".into());
        manager.leave(reloading()).await;
        manager.leave(Notice::Reloaded).await;
        manager.hears("RELOADING=1\nMONOTONIC_USEC=5\n").await;
        manager.hears("READY=1\n").await;
        manager.stop.drain();
        manager
            .hears(
                "STOPPING=1\nSTATUS=draining open=0 accepted=0 refused=0\n\
                 EXTEND_TIMEOUT_USEC=6000000\n",
            )
            .await;
        manager.leave(reloading()).await;
        manager.leave(Notice::Reloaded).await;
        manager.pass(5).await;
        manager.hears("EXTEND_TIMEOUT_USEC=5000000\n").await;
        manager.leave(Notice::Ended).await;
    });
}

#[test]
fn a_manager_that_begins_anew_is_found_again() {
    let dir = tempfile::tempdir_in("/tmp").expect("a directory");
    let path = dir.path().join("notify");
    let log = Log::start(Format::Text, Level::Quiet).expect("a thread");
    let mut manager = Manager::new(path.as_os_str(), log.lines().clone()).expect("a path");
    for _ in 0..3 {
        // Nobody is there, and the service goes on.
        smol::block_on(manager.hear_message("READY=1\n"));
        let socket = UnixDatagram::bind(&path).expect("a socket");
        smol::block_on(manager.hear_message("WATCHDOG=1\n"));
        let mut buf = [0; 64];
        let length = socket.recv(&mut buf).expect("a message");
        assert_eq!(&buf[..length], b"WATCHDOG=1\n");
        drop(socket);
        std::fs::remove_file(&path).expect("it is there");
    }
}
