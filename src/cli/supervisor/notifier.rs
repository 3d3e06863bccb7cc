//! The messages to a service manager, from the first accept to the end.

use std::future::Future;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::process;
use std::time::{Duration, Instant};

use futures_lite::future;
use halves::Clock;
use halves::stats::Stats;
use sd_notify::NotifyState;
use smol::channel::Receiver;

use super::Notice;
use super::manager::Manager;
use super::store::Store;

/// The time between two updates of the status, and between two requests for more time.
const UPDATE_INTERVAL: Duration = Duration::from_secs(5);
/// The most time that a drain requests at once, without [`DEADLINE_MARGIN`], so that the manager can
/// end a drain that hangs.
const MAX_EXTENSION: Duration = Duration::from_secs(10);
/// The time that the process may take after the deadline of the drain. Each request includes it.
const DEADLINE_MARGIN: Duration = Duration::from_secs(5);
/// The shortest time between two watchdog messages. More messages would leave no time for work.
const MIN_WATCHDOG_INTERVAL: Duration = Duration::from_millis(1);

/// Sends the messages, and remembers the last status.
pub(super) struct Notifier {
    manager: Manager,
    clock: Clock,
    /// The time between two watchdog messages: half the timeout of the manager.
    watchdog_interval: Option<Duration>,
    /// The longest drain: its delay and its timeout.
    longest_drain: Duration,
    phase: ServerPhase,
    /// The last status that was sent.
    status: String,
    next_update: Instant,
    next_watchdog: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq)]
enum ServerPhase {
    Serving,
    /// Until this instant at most; None is no deadline.
    Draining(Option<Instant>),
    /// Another process sends the messages.
    Replaced,
}

enum Wakeup {
    Notice(Notice),
    Stop,
    Time,
}

impl Notifier {
    pub(super) fn new(
        manager: Manager,
        clock: Clock,
        watchdog: Option<Duration>,
        longest_drain: Duration,
    ) -> Self {
        let now = clock.now();
        Self {
            manager,
            clock,
            watchdog_interval: watchdog.map(|limit| (limit / 2).max(MIN_WATCHDOG_INTERVAL)),
            longest_drain,
            phase: ServerPhase::Serving,
            status: String::new(),
            next_update: now,
            next_watchdog: None,
        }
    }

    /// Sends the ready message and all later ones, until [`Notice::Ended`].
    pub(super) async fn run(
        mut self,
        store: Store,
        notices: Receiver<Notice>,
        stats: impl Fn() -> Stats,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = pin!(stop);
        self.store(store).await;
        self.ready(&stats()).await;
        loop {
            match self.next(&notices, stop.as_mut()).await {
                Wakeup::Notice(Notice::Ended) => break,
                Wakeup::Notice(Notice::Kept) if self.phase == ServerPhase::Replaced => {
                    self.phase = ServerPhase::Serving;
                    // The end of a reload may have come meanwhile.
                    let main = NotifyState::MainPid(process::id());
                    self.manager.send([main, NotifyState::Ready]).await;
                }
                // A draining server is not ready again.
                Wakeup::Notice(_) if self.phase != ServerPhase::Serving => {}
                Wakeup::Notice(Notice::Reloading(message)) => {
                    self.manager.send_message(&message).await;
                }
                Wakeup::Notice(Notice::Reloaded) => self.manager.send([NotifyState::Ready]).await,
                Wakeup::Notice(Notice::Replaced(pid, sent)) => {
                    self.phase = ServerPhase::Replaced;
                    self.manager.send([NotifyState::MainPid(pid)]).await;
                    drop(sent);
                }
                Wakeup::Notice(Notice::Kept) => {}
                Wakeup::Stop => self.stop(&stats()).await,
                Wakeup::Time => self.time(&stats).await,
            }
        }
        if self.phase == ServerPhase::Serving {
            self.manager.send([NotifyState::Stopping]).await;
        }
    }

    async fn next(
        &self,
        notices: &Receiver<Notice>,
        stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Wakeup {
        let stopped = async {
            match self.phase {
                ServerPhase::Serving => stop.await,
                ServerPhase::Draining(_) | ServerPhase::Replaced => future::pending().await,
            }
            Wakeup::Stop
        };
        let notice = async {
            match notices.recv().await {
                Ok(notice) => Wakeup::Notice(notice),
                // The channel is closed: no notice can follow.
                Err(_) => Wakeup::Notice(Notice::Ended),
            }
        };
        let time = async {
            if self.phase == ServerPhase::Replaced {
                return future::pending().await;
            }
            let first = self.next_watchdog.unwrap_or(self.next_update);
            self.clock.sleep_until(first.min(self.next_update)).await;
            Wakeup::Time
        };
        future::or(stopped, future::or(notice, time)).await
    }

    /// Passes descriptors to the manager.
    async fn store(&mut self, store: Store) {
        for name in &store.gone {
            let message = format!("FDSTOREREMOVE=1\nFDNAME={name}\n");
            self.manager.send_message(&message).await;
        }
        for (name, fd) in &store.new {
            let message = format!("FDSTORE=1\nFDNAME={name}\n");
            self.manager.send_fd(&message, fd.as_fd()).await;
        }
    }

    async fn ready(&mut self, stats: &Stats) {
        let now = self.clock.now();
        self.next_update = now + UPDATE_INTERVAL;
        self.next_watchdog = self.watchdog_after(now);
        self.status = self.describe(stats);
        let status = NotifyState::Status(&self.status);
        self.manager.send([NotifyState::Ready, status]).await;
    }

    async fn stop(&mut self, stats: &Stats) {
        let now = self.clock.now();
        self.phase = ServerPhase::Draining(now.checked_add(self.longest_drain));
        self.next_update = now + UPDATE_INTERVAL;
        self.status = self.describe(stats);
        let status = NotifyState::Status(&self.status);
        let states = [NotifyState::Stopping, status].into_iter();
        self.manager.send(states.chain(self.extend(now))).await;
    }

    async fn time(&mut self, stats: &impl Fn() -> Stats) {
        let now = self.clock.now();
        let (mut watchdog, mut extend, mut status) = (None, None, None);
        if self.next_watchdog.is_some_and(|next| next <= now) {
            self.next_watchdog = self.watchdog_after(now);
            watchdog = Some(NotifyState::Watchdog);
        }
        if self.next_update <= now {
            self.next_update = now + UPDATE_INTERVAL;
            extend = self.extend(now);
            let fresh = self.describe(&stats());
            if fresh != self.status {
                self.status = fresh;
                status = Some(NotifyState::Status(&self.status));
            }
        }
        let states = [watchdog, extend, status].into_iter().flatten();
        self.manager.send(states).await;
    }

    fn watchdog_after(&self, now: Instant) -> Option<Instant> {
        self.watchdog_interval
            .and_then(|interval| now.checked_add(interval))
    }

    /// Requests more time during a drain: the rest of the drain up to [`MAX_EXTENSION`], and
    /// [`DEADLINE_MARGIN`].
    fn extend(&self, now: Instant) -> Option<NotifyState<'static>> {
        let ServerPhase::Draining(end) = self.phase else {
            return None;
        };
        let left = end.map_or(MAX_EXTENSION, |end| {
            end.saturating_duration_since(now).min(MAX_EXTENSION)
        });
        let micros = u32::try_from((left + DEADLINE_MARGIN).as_micros());
        micros.ok().map(NotifyState::ExtendTimeoutUsec)
    }

    fn describe(&self, stats: &Stats) -> String {
        let phase = match self.phase {
            ServerPhase::Serving => "serving",
            ServerPhase::Draining(_) | ServerPhase::Replaced => "draining",
        };
        let (open, accepted, refused) = (stats.open, stats.accepted, stats.ended.refused());
        format!("{phase} open={open} accepted={accepted} refused={refused}")
    }
}
