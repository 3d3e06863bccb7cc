//! What a service manager is told of us, in systemd's notify protocol (`sd_notify`(3)): that we
//! are ready, how it goes, that we reload, that we end and how long that may take; and, as long as
//! the executor turns, that we are alive.

mod manager;
mod notifier;
mod socket;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures_lite::future;
use halves::{Clock, Executor, Handle, Shutdown};
use sd_notify::NotifyState;
use smol::Task;
use smol::channel::{self, Receiver, Sender};

use super::log::Lines;
use manager::Manager;
use notifier::Notifier;

/// How long the end of the process waits for a manager that does not listen.
const PATIENCE: Duration = Duration::from_millis(250);

/// The service manager in our environment, if there is one.
pub(super) struct Supervisor {
    notices: Notices,
    found: Option<(Manager, Receiver<Notice>)>,
}

/// Where others leave word for the manager. Without one it goes nowhere.
#[derive(Clone, Debug)]
pub(super) struct Notices(Option<Sender<Notice>>);

/// A manager that is being told.
pub(super) struct Told {
    notices: Notices,
    task: Option<Task<()>>,
}

#[derive(Debug)]
enum Notice {
    /// The message that says so, with the time.
    Reloading(String),
    Reloaded,
    Ended,
}

impl Supervisor {
    /// `NOTIFY_SOCKET` says where it listens.
    pub(super) fn find(lines: &Lines) -> Self {
        let manager = Manager::from_env(lines);
        let (to, notices) = channel::unbounded();
        Self {
            notices: Notices(manager.is_some().then_some(to)),
            found: manager.map(|manager| (manager, notices)),
        }
    }

    pub(super) fn notices(&self) -> Notices {
        self.notices.clone()
    }

    /// Says that we are ready, and from then on what there is to say, in a task of the executor:
    /// when that hangs, the signs of life end. The end may take as long as `patience`.
    pub(super) fn start(
        self,
        ex: &Executor,
        handle: Handle,
        shutdown: Shutdown,
        patience: Duration,
    ) -> Told {
        let task = self.found.map(|(manager, notices)| {
            // `WATCHDOG_USEC` and `WATCHDOG_PID` say whether it wants signs of life.
            let watchdog = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero());
            let notifier = Notifier::new(manager, Clock::default(), watchdog, patience);
            // The end begins when the process is told to, or when the server cannot go on.
            let server = handle.clone();
            let stop = async move {
                future::or(shutdown.requested(), server.shutdown().requested()).await;
            };
            ex.spawn(notifier.run(notices, move || handle.stats(), stop))
        });
        Told {
            notices: self.notices,
            task,
        }
    }
}

impl Notices {
    /// The rules are about to be read again.
    pub(super) fn reloading(&self) {
        if self.0.is_some() {
            let now = NotifyState::monotonic_usec_now();
            let states = [NotifyState::Reloading].into_iter().chain(now.ok());
            self.leave(Notice::Reloading(manager::message(states)));
        }
    }

    /// They have been, well or not.
    pub(super) fn reloaded(&self) {
        self.leave(Notice::Reloaded);
    }

    fn leave(&self, notice: Notice) {
        if let Some(to) = &self.0 {
            // An error only says that the manager has heard the last word already.
            let _ = to.try_send(notice);
        }
    }
}

impl Told {
    /// Says the last word, unless the manager is not to be reached.
    pub(super) async fn ended(self) {
        let Some(task) = self.task else { return };
        self.notices.leave(Notice::Ended);
        future::or(task, async {
            Clock::default().sleep(PATIENCE).await;
        })
        .await;
    }
}
