//! The end of a server: let connections finish, cut what is left at the deadline, report.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_lite::future;

use super::Report;
use super::event::Event;
use super::registry::Registry;
use super::state::State;

/// Between two lines about the progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// How long tasks may take to drop what was cut. One that blocks its thread may never do so.
const GRACE: Duration = Duration::from_secs(1);

/// Dropped with the server: aborts every connection that is left, where that was in the middle.
pub(super) struct Life(pub(super) Arc<Registry>);

enum Step {
    Empty,
    Cut,
    Progress,
}

/// Waits for the connections that are open; they may take `deadline`, unless they are told to be
/// gone at once.
pub(super) async fn drain(state: &State, deadline: Duration) -> Report {
    let (registry, clock) = (&state.registry, &state.clock);
    let connections = registry.open();
    state.emit(|| Event::Draining {
        connections,
        deadline,
    });
    registry.tell_of_drain();

    let end = clock.now().checked_add(deadline);
    let mut cut = pin!(future::or(state.shutdown.forced(), clock.sleep(deadline)));
    let aborted = loop {
        let empty = async {
            registry.below(1).await;
            Step::Empty
        };
        let cut = async {
            cut.as_mut().await;
            Step::Cut
        };
        let progress = async {
            clock.sleep(PROGRESS).await;
            Step::Progress
        };
        match future::or(empty, future::or(cut, progress)).await {
            Step::Empty => break 0,
            Step::Cut => break abort(state).await,
            Step::Progress => state.emit(|| Event::StillDraining {
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

async fn abort(state: &State) -> usize {
    let aborted = state.registry.abort_all();
    let gone = state.registry.below(1);
    future::or(gone, state.clock.sleep(GRACE)).await;
    aborted
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.ready.store(false, Ordering::Release);
        self.0.listens(Vec::new());
        self.0.abort_all();
        self.0.over.drain();
    }
}
