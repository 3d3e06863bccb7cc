//! The drain: wait for connections to finish, abort the rest at the deadline, report.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_lite::future;

use super::Report;
use super::event::Event;
use super::registry::Registry;
use super::state::ServerState;

/// The time between two progress events.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);
/// The time after the drain deadline that code at the other end of a connection has to end by
/// itself, if [`Link::ask_to_end`](crate::connection::Link::ask_to_end) asks it to.
///
/// # Examples
///
/// The longest time from the start of a drain to the end of a child process:
///
/// ```
/// let drain_timeout = std::time::Duration::from_secs(30);
/// let longest = drain_timeout + halves::server::END_GRACE;
/// assert_eq!(longest.as_secs(), 32);
/// ```
pub const END_GRACE: Duration = Duration::from_secs(2);
/// The time that tasks have to drop aborted connections. A task that blocks its thread may never do
/// so.
const ABORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Marks the server as ended when it is dropped, and aborts the connections that are left.
pub(super) struct AbortOnDrop(pub(super) Arc<Registry>);

enum DrainStep {
    Empty,
    Deadline,
    Forced,
    Progress,
}

/// Waits until all open connections have ended. Aborts the rest after `deadline`, or when the end
/// is forced.
pub(super) async fn drain(state: &ServerState, deadline: Duration) -> Report {
    let (registry, clock) = (&state.registry, &state.clock);
    let connections = registry.open();
    state.emit(|| Event::Draining {
        connections,
        deadline,
    });
    registry.wake_all();

    let end = clock.now().checked_add(deadline);
    let mut past_deadline = pin!(clock.sleep(deadline));
    let aborted = loop {
        let empty = async {
            registry.below(1).await;
            DrainStep::Empty
        };
        let past_deadline = async {
            past_deadline.as_mut().await;
            DrainStep::Deadline
        };
        let forced = async {
            state.shutdown.forced().await;
            DrainStep::Forced
        };
        let progress = async {
            clock.sleep(PROGRESS_INTERVAL).await;
            DrainStep::Progress
        };
        let due = future::or(forced, past_deadline);
        match future::or(empty, future::or(due, progress)).await {
            DrainStep::Empty => break 0,
            DrainStep::Deadline => break ask_and_abort(state).await,
            DrainStep::Forced => break abort(state).await,
            DrainStep::Progress => state.emit(|| Event::StillDraining {
                connections: registry.open(),
                left: end.map_or(Duration::MAX, |end| {
                    end.saturating_duration_since(clock.now())
                }),
            }),
        }
    };
    Report {
        finished: connections.saturating_sub(aborted),
        aborted,
        stats: registry.stats(),
    }
}

/// Aborts the connections that are left. Those with code at the other end that can be asked to end by itself
/// get some time for that, but count as aborted.
async fn ask_and_abort(state: &ServerState) -> usize {
    let (asked, aborted) = state.registry.ask_or_abort_all();
    if asked > 0 {
        let forced = state.shutdown.forced();
        let due = future::or(forced, state.clock.sleep(END_GRACE));
        future::or(state.registry.below(1), due).await;
    }
    abort(state).await;
    asked + aborted
}

async fn abort(state: &ServerState) -> usize {
    let aborted = state.registry.abort_all();
    let gone = state.registry.below(1);
    future::or(gone, state.clock.sleep(ABORT_TIMEOUT)).await;
    aborted
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.ready.store(false, Ordering::Release);
        self.0.set_local_addrs(Vec::new());
        self.0.abort_all();
        self.0.ended.drain();
    }
}
