//! The messages to the manager, on a manual clock.

use std::cell::Cell;
use std::os::unix::net::UnixDatagram;
use std::process;
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
use super::store::Store;

const SECOND: Duration = Duration::from_secs(1);

/// A manager with its socket, the clock, and the state of the server.
struct Test {
    socket: Async<UnixDatagram>,
    manual: ManualClock,
    open: Cell<u64>,
    stop: Shutdown,
    notices: Sender<Notice>,
}

impl Test {
    async fn receives(&self, message: &str) {
        let mut buf = [0; 1024];
        let length = self.socket.recv(&mut buf).await.expect("a message");
        assert_eq!(str::from_utf8(&buf[..length]), Ok(message));
    }

    /// Advances the clock second by second, because a larger step would skip messages.
    async fn pass(&self, seconds: u32) {
        for _ in 0..seconds {
            self.manual.advance(SECOND);
            for _ in 0..10 {
                future::yield_now().await;
            }
        }
    }

    async fn notify(&self, notice: Notice) {
        self.notices.send(notice).await.expect("the notifier runs");
    }
}

/// Runs a notifier beside the test. The test ends the notifier.
fn notifier(watchdog: Option<Duration>, longest_drain: Duration, test: impl AsyncFnOnce(&Test)) {
    let dir = tempfile::tempdir_in("/tmp").expect("a directory");
    let path = dir.path().join("notify");
    let socket = Async::<UnixDatagram>::bind(&path).expect("a socket");
    let log = Log::start(Format::Text, Level::Normal).expect("a thread");
    let manager = Manager::new(path.as_os_str(), log.lines().clone()).expect("a path");
    let (clock, manual) = Clock::manual();
    let (sender, notices) = channel::unbounded();
    let state = Test {
        socket,
        manual,
        open: Cell::default(),
        stop: Shutdown::default(),
        notices: sender,
    };
    let stats = || {
        let mut stats = Stats::default();
        (stats.open, stats.accepted) = (state.open.get(), state.open.get());
        stats
    };
    let notifier = Notifier::new(manager, clock, watchdog, longest_drain);
    let notifier = notifier.run(Store::default(), notices, stats, state.stop.requested());
    let test = async {
        state
            .receives("READY=1\nSTATUS=serving open=0 accepted=0 refused=0\n")
            .await;
        test(&state).await;
    };
    smol::block_on(future::zip(notifier, test));
}

#[test]
fn a_changed_status_is_sent_every_five_seconds() {
    notifier(None, SECOND, async |manager| {
        manager.pass(60).await;
        manager.open.set(3);
        manager.pass(5).await;
        manager
            .receives("STATUS=serving open=3 accepted=3 refused=0\n")
            .await;
        manager.pass(60).await;
        manager.notify(Notice::Ended).await;
        manager.receives("STOPPING=1\n").await;
    });
}

#[test]
fn a_watchdog_message_is_sent_after_half_the_timeout() {
    notifier(Some(4 * SECOND), SECOND, async |manager| {
        for _ in 0..10 {
            manager.pass(2).await;
            manager.receives("WATCHDOG=1\n").await;
        }
        manager.pass(1).await;
        manager.notify(Notice::Ended).await;
        manager.receives("STOPPING=1\n").await;
    });
}

#[test]
fn a_drain_requests_its_time_in_steps() {
    notifier(None, 22 * SECOND, async |manager| {
        manager.open.set(2);
        manager.stop.drain();
        manager
            .receives(
                "STOPPING=1\nSTATUS=draining open=2 accepted=2 refused=0\n\
                 EXTEND_TIMEOUT_USEC=15000000\n",
            )
            .await;
        for left in [15, 15, 12, 7, 5, 5] {
            manager.pass(5).await;
            manager
                .receives(&format!("EXTEND_TIMEOUT_USEC={left}000000\n"))
                .await;
        }
        manager.notify(Notice::Ended).await;
    });
}

#[test]
fn a_drain_without_a_deadline_is_extended() {
    notifier(None, Duration::MAX, async |manager| {
        manager.stop.drain();
        manager
            .receives(
                "STOPPING=1\nSTATUS=draining open=0 accepted=0 refused=0\n\
                 EXTEND_TIMEOUT_USEC=15000000\n",
            )
            .await;
        manager.pass(5).await;
        manager.receives("EXTEND_TIMEOUT_USEC=15000000\n").await;
        manager.notify(Notice::Ended).await;
    });
}

#[test]
fn a_reload_is_followed_by_ready_unless_the_server_drains() {
    notifier(None, SECOND, async |manager| {
        let reloading = || Notice::Reloading("RELOADING=1\nMONOTONIC_USEC=5\n".into());
        manager.notify(reloading()).await;
        manager.notify(Notice::Reloaded).await;
        manager.receives("RELOADING=1\nMONOTONIC_USEC=5\n").await;
        manager.receives("READY=1\n").await;
        manager.stop.drain();
        manager
            .receives(
                "STOPPING=1\nSTATUS=draining open=0 accepted=0 refused=0\n\
                 EXTEND_TIMEOUT_USEC=6000000\n",
            )
            .await;
        manager.notify(reloading()).await;
        manager.notify(Notice::Reloaded).await;
        manager.pass(5).await;
        manager.receives("EXTEND_TIMEOUT_USEC=5000000\n").await;
        manager.notify(Notice::Ended).await;
    });
}

#[test]
fn a_restarted_manager_is_reached_again() {
    let dir = tempfile::tempdir_in("/tmp").expect("a directory");
    let path = dir.path().join("notify");
    let log = Log::start(Format::Text, Level::Quiet).expect("a thread");
    let mut manager = Manager::new(path.as_os_str(), log.lines().clone()).expect("a path");
    for _ in 0..3 {
        // No socket is bound, and the service goes on.
        smol::block_on(manager.send_message("READY=1\n"));
        let socket = UnixDatagram::bind(&path).expect("a socket");
        smol::block_on(manager.send_message("WATCHDOG=1\n"));
        let mut buf = [0; 64];
        let length = socket.recv(&mut buf).expect("a message");
        assert_eq!(&buf[..length], b"WATCHDOG=1\n");
        drop(socket);
        std::fs::remove_file(&path).expect("it is there");
    }
}

/// The new process sends the messages, and the manager would take these for its own.
#[test]
fn a_process_that_is_replaced_names_the_new_one_and_sends_nothing_more() {
    for is_kept in [false, true] {
        notifier(Some(4 * SECOND), SECOND, async |manager| {
            let (sender, sent) = channel::bounded(1);
            manager.notify(Notice::Replaced(7, sender)).await;
            manager.receives("MAINPID=7\n").await;
            sent.recv().await.expect_err("it is dropped");
            manager.open.set(3);
            manager.pass(60).await;
            if is_kept {
                manager.notify(Notice::Kept).await;
                manager.receives(&named_again()).await;
                manager
                    .receives("WATCHDOG=1\nSTATUS=serving open=3 accepted=3 refused=0\n")
                    .await;
                manager.notify(Notice::Ended).await;
                return manager.receives("STOPPING=1\n").await;
            }
            manager.stop.drain();
            manager.pass(60).await;
            manager.notify(Notice::Ended).await;
            manager.pass(1).await;
            let more = future::poll_once(manager.socket.recv(&mut [0])).await;
            assert!(more.is_none());
        });
    }
}

/// The manager would wait for the end of the reload for ever.
#[test]
fn a_reload_that_ends_while_another_process_is_named_is_followed_by_ready() {
    notifier(None, SECOND, async |manager| {
        let reloading = "RELOADING=1\nMONOTONIC_USEC=5\n";
        manager.notify(Notice::Reloading(reloading.into())).await;
        manager.receives(reloading).await;
        let (sender, _sent) = channel::bounded(1);
        manager.notify(Notice::Replaced(7, sender)).await;
        manager.receives("MAINPID=7\n").await;
        manager.notify(Notice::Reloaded).await;
        manager.notify(Notice::Kept).await;
        manager.receives(&named_again()).await;
        manager.notify(Notice::Ended).await;
        manager.receives("STOPPING=1\n").await;
    });
}

/// The message of a process that is not replaced after all.
fn named_again() -> String {
    format!("MAINPID={}\nREADY=1\n", process::id())
}
