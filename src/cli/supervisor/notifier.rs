//! What a service manager hears from the first accept to the end, and when.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use futures_lite::future;
use halves::Clock;
use halves::stats::Stats;
use sd_notify::NotifyState;
use smol::channel::Receiver;

use super::Notice;
use super::manager::Manager;

/// Between two looks at the counts, and between two requests for more time.
const LOOK: Duration = Duration::from_secs(5);
/// How much time a drain asks for at once: one that hangs is not to be waited for to its end.
const AHEAD: Duration = Duration::from_secs(10);
/// What the end may take after its deadline.
const GRACE: Duration = Duration::from_secs(5);
/// A watchdog that wants to hear of us more often than this would leave time for nothing else.
const SHORTEST: Duration = Duration::from_millis(1);

/// How far it has come, and what was said last.
pub(super) struct Notifier {
    manager: Manager,
    clock: Clock,
    /// Between two signs of life: half of what the manager waits for one.
    period: Option<Duration>,
    /// What the end may take: the drain's delay and its timeout.
    patience: Duration,
    phase: Phase,
    /// What was said last.
    status: String,
    next_look: Instant,
    next_sign: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Serving,
    /// Until this instant at most; none is for ever.
    Draining(Option<Instant>),
}

enum Step {
    Notice(Notice),
    Stop,
    Time,
}

impl Notifier {
    pub(super) fn new(
        manager: Manager,
        clock: Clock,
        watchdog: Option<Duration>,
        patience: Duration,
    ) -> Self {
        let now = clock.now();
        Self {
            manager,
            clock,
            period: watchdog.map(|limit| (limit / 2).max(SHORTEST)),
            patience,
            phase: Phase::Serving,
            status: String::new(),
            next_look: now,
            next_sign: None,
        }
    }

    /// Says that we are ready, and all that follows, until it is told that we have ended.
    pub(super) async fn run(
        mut self,
        notices: Receiver<Notice>,
        stats: impl Fn() -> Stats,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = pin!(stop);
        self.ready(&stats()).await;
        loop {
            match self.next(&notices, stop.as_mut()).await {
                Step::Notice(Notice::Ended) => break,
                // Who ends is not ready any more.
                Step::Notice(_) if self.phase != Phase::Serving => {}
                Step::Notice(Notice::Reloading(message)) => {
                    self.manager.hear_message(&message).await;
                }
                Step::Notice(Notice::Reloaded) => self.manager.send([NotifyState::Ready]).await,
                Step::Stop => self.stop(&stats()).await,
                Step::Time => self.time(&stats).await,
            }
        }
        if self.phase == Phase::Serving {
            self.manager.send([NotifyState::Stopping]).await;
        }
    }

    async fn next(
        &self,
        notices: &Receiver<Notice>,
        stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Step {
        let stopped = async {
            match self.phase {
                Phase::Serving => stop.await,
                Phase::Draining(_) => future::pending().await,
            }
            Step::Stop
        };
        let notice = async {
            match notices.recv().await {
                Ok(notice) => Step::Notice(notice),
                // Nobody is left who could leave one.
                Err(_) => Step::Notice(Notice::Ended),
            }
        };
        let time = async {
            let first = self.next_sign.unwrap_or(self.next_look);
            self.clock.sleep_until(first.min(self.next_look)).await;
            Step::Time
        };
        future::or(stopped, future::or(notice, time)).await
    }

    async fn ready(&mut self, stats: &Stats) {
        let now = self.clock.now();
        self.next_look = now + LOOK;
        self.next_sign = self.after_a_period(now);
        self.status = self.describe(stats);
        let status = NotifyState::Status(&self.status);
        self.manager.send([NotifyState::Ready, status]).await;
    }

    async fn stop(&mut self, stats: &Stats) {
        let now = self.clock.now();
        self.phase = Phase::Draining(now.checked_add(self.patience));
        self.next_look = now + LOOK;
        self.status = self.describe(stats);
        let status = NotifyState::Status(&self.status);
        let states = [NotifyState::Stopping, status].into_iter();
        self.manager.send(states.chain(self.extend(now))).await;
    }

    async fn time(&mut self, stats: &impl Fn() -> Stats) {
        let now = self.clock.now();
        let (mut sign, mut extend, mut status) = (None, None, None);
        if self.next_sign.is_some_and(|next| next <= now) {
            self.next_sign = self.after_a_period(now);
            sign = Some(NotifyState::Watchdog);
        }
        if self.next_look <= now {
            self.next_look = now + LOOK;
            extend = self.extend(now);
            let fresh = self.describe(&stats());
            if fresh != self.status {
                self.status = fresh;
                status = Some(NotifyState::Status(&self.status));
            }
        }
        let states = [sign, extend, status].into_iter().flatten();
        self.manager.send(states).await;
    }

    fn after_a_period(&self, now: Instant) -> Option<Instant> {
        self.period.and_then(|period| now.checked_add(period))
    }

    /// Asks, in a drain, for as much time as it may still take, but not for all at once.
    fn extend(&self, now: Instant) -> Option<NotifyState<'static>> {
        let Phase::Draining(end) = self.phase else {
            return None;
        };
        let left = end.map_or(AHEAD, |end| end.saturating_duration_since(now).min(AHEAD));
        let micros = u32::try_from((left + GRACE).as_micros());
        micros.ok().map(NotifyState::ExtendTimeoutUsec)
    }

    fn describe(&self, stats: &Stats) -> String {
        let doing = match self.phase {
            Phase::Serving => "serving",
            Phase::Draining(_) => "draining",
        };
        let (open, accepted, refused) = (stats.open, stats.accepted, stats.ended.refused());
        format!("{doing} open={open} accepted={accepted} refused={refused}")
    }
}
