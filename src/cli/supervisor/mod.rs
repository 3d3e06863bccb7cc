//! Messages to a service manager in systemd's notify protocol, `sd_notify`(3): ready, status,
//! reload, stop, time extensions, and watchdog messages while the executor runs.

mod manager;
mod notifier;
mod store;
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

pub(super) use store::{Store, close_unused, name as store_name};

/// The longest wait for the last message at the end of the process.
const FINISH_TIMEOUT: Duration = Duration::from_millis(250);

/// The service manager that the environment names, if there is one.
pub(super) struct Supervisor {
    notices: Notices,
    found: Option<(Manager, Receiver<Notice>)>,
}

/// Sends notices to the notifier. Without a service manager it does nothing.
#[derive(Clone, Debug)]
pub(super) struct Notices(Option<Sender<Notice>>);

/// The running notifier.
pub(super) struct NotifierTask {
    notices: Notices,
    task: Option<Task<()>>,
}

#[derive(Debug)]
enum Notice {
    /// A new process, with this id, replaces this one. The sender is dropped when the manager has
    /// been told.
    Replaced(u32, Sender<()>),
    /// It does not.
    Kept,
    /// A reload begins: the message, with the time.
    Reloading(String),
    Reloaded,
    Ended,
}

impl Supervisor {
    /// Finds the service manager by `NOTIFY_SOCKET`.
    pub(super) fn find(lines: &Lines) -> Self {
        let manager = Manager::from_env(lines);
        let (sender, notices) = channel::unbounded();
        Self {
            notices: Notices(manager.is_some().then_some(sender)),
            found: manager.map(|manager| (manager, notices)),
        }
    }

    pub(super) fn notices(&self) -> Notices {
        self.notices.clone()
    }

    /// Starts the notifier as a task of the executor, so that watchdog messages stop if the
    /// executor hangs. `store` has descriptors for the manager, and `longest_drain` bounds the end of
    /// the server.
    pub(super) fn start(
        self,
        ex: &Executor,
        store: Store,
        handle: Handle,
        shutdown: Shutdown,
        longest_drain: Duration,
    ) -> NotifierTask {
        let task = self.found.map(|(manager, notices)| {
            // Reads `WATCHDOG_USEC` and `WATCHDOG_PID`.
            let watchdog = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero());
            let notifier = Notifier::new(manager, Clock::default(), watchdog, longest_drain);
            // The end begins with a signal, or when the server fails.
            let server = handle.clone();
            let stop = async move {
                future::or(shutdown.requested(), server.shutdown().requested()).await;
            };
            ex.spawn(notifier.run(store, notices, move || handle.stats(), stop))
        });
        NotifierTask {
            notices: self.notices,
            task,
        }
    }
}

impl Notices {
    /// Reports that a reload begins.
    pub(super) fn reloading(&self) {
        if self.0.is_some() {
            let now = NotifyState::monotonic_usec_now();
            let states = [NotifyState::Reloading].into_iter().chain(now.ok());
            self.send(Notice::Reloading(manager::message(states)));
        }
    }

    /// Reports that a reload is over, with or without an error.
    pub(super) fn reloaded(&self) {
        self.send(Notice::Reloaded);
    }

    /// Names the main process from now on, which replaces this one, and sends nothing more. Waits
    /// until the message is sent, at most [`FINISH_TIMEOUT`].
    pub(super) async fn replaced(&self, pid: u32) {
        let (sender, sent) = channel::bounded(1);
        self.send(Notice::Replaced(pid, sender));
        let _ = Clock::default().timeout(FINISH_TIMEOUT, sent.recv()).await;
    }

    /// Names this process as the main process again.
    pub(super) fn kept(&self) {
        self.send(Notice::Kept);
    }

    fn send(&self, notice: Notice) {
        if let Some(sender) = &self.0 {
            // An error means that the notifier has ended.
            let _ = sender.try_send(notice);
        }
    }
}

impl NotifierTask {
    /// Sends the last message, and waits for it up to [`FINISH_TIMEOUT`].
    pub(super) async fn finish(self) {
        let Some(task) = self.task else { return };
        self.notices.send(Notice::Ended);
        let _ = Clock::default().timeout(FINISH_TIMEOUT, task).await;
    }
}
