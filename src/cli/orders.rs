//! Orders to a running server: from signals, and from the control socket.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use halves::limits::Rules;
use halves::tls::{Acceptor, LoadError};
use halves::{Handle, Reason, Shutdown};
use smol::lock::{Mutex as AsyncMutex, OnceCell};

use super::format::Line;
use super::log::{Level, Lines};
use super::restart::Restarter;
use super::rules::RuleSources;
use super::setting::{Limits, Setting};
use super::supervisor::Notices;
use super::text_file::FileError;

/// A server that takes orders.
pub(super) struct Orders {
    pub(super) handle: Handle,
    /// Drains with the delay, and aborts.
    pub(super) shutdown: Shutdown,
    pub(super) lines: Lines,
    files: Mutex<Files>,
    limits: Mutex<Limits>,
    notices: Notices,
    /// Set when the server listens.
    restarter: OnceCell<Restarter>,
    /// Locked during a restart.
    restarting: AsyncMutex<()>,
}

/// The files that a reload reads.
pub(super) struct Files {
    pub(super) rules: RuleSources,
    pub(super) tls: Option<Acceptor>,
    /// The number of `--tls-cert` options.
    pub(super) certificates: usize,
}

/// The numbers of a reload that succeeded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reloaded {
    /// Networks in the rules.
    pub(super) rules: usize,
    /// Pairs of certificate and key. None without TLS.
    pub(super) certificates: Option<usize>,
}

/// A file with an error.
#[derive(Debug)]
pub(super) enum BadFile {
    Rules(FileError),
    Tls(LoadError),
}

impl Orders {
    pub(super) fn new(
        handle: Handle,
        shutdown: Shutdown,
        lines: Lines,
        files: Files,
        limits: Limits,
        notices: Notices,
    ) -> Self {
        Self {
            handle,
            shutdown,
            lines,
            files: Mutex::new(files),
            limits: Mutex::new(limits),
            notices,
            restarter: OnceCell::new(),
            restarting: AsyncMutex::default(),
        }
    }

    /// Reloads all files or none, and logs the result. Blocks: not for a thread that serves
    /// connections.
    pub(super) fn reload(&self) -> Result<Reloaded, BadFile> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        self.notices.reloading();
        let result = files.load().map(|(rules, reloaded)| {
            self.handle.set_rules(rules);
            reloaded
        });
        match &result {
            Ok(reloaded) => self.lines.write(Level::Normal, &reloaded.line()),
            Err(bad) => self.lines.write(Level::Quiet, &bad.line()),
        }
        self.notices.reloaded();
        result
    }

    /// Permits restarts, once the server listens.
    pub(super) async fn allow_restart(&self, restarter: Restarter) {
        let _ = self.restarter.set(restarter).await;
    }

    /// Starts a new process, which takes over the listeners, and drains this one without its delay.
    /// Logs the result. Returns the process id of the new process, or the problem, which is one
    /// line. Then this process goes on as before.
    ///
    /// Blocks until this process listens, until the new one is ready, up to 30 seconds, and until the
    /// relays of `--handover` have moved.
    pub(super) fn restart(&self) -> Result<u32, String> {
        // Held until the result is logged.
        let restarting = self.restarting.try_lock();
        let result = match restarting {
            Some(_) => self.restarter.wait_blocking().restart(),
            None => Err("a restart is under way already".to_owned()),
        };
        match result {
            Ok(restarted) => {
                // First the server, which then does not wait for its delay.
                self.handle.shutdown().drain();
                self.shutdown.drain();
                if let Some(relays) = restarted.relays {
                    relays.run(&self.lines);
                }
                Ok(restarted.pid)
            }
            Err(problem) => {
                self.restart_failed(&problem);
                Err(problem)
            }
        }
    }

    pub(super) fn restart_failed(&self, problem: &str) {
        let line = Line::new("restart_failed").text("error", problem);
        let line = line.remark("this process goes on");
        self.lines.write(Level::Quiet, &line);
    }

    /// Ends a restart that is under way, as the server has ended. Waits for its result.
    pub(super) async fn end_restart(&self) {
        if self.restarting.try_lock().is_none() {
            self.shutdown.drain();
        }
        drop(self.restarting.lock().await);
    }

    /// Changes one limit of the server.
    pub(super) fn set(&self, setting: Setting) {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        limits.set(setting, &self.handle);
    }

    /// Logs the statistics at every level, because they were asked for.
    pub(super) fn log_stats(&self) {
        self.lines.write(Level::Quiet, &stats(&self.handle));
    }
}

impl Files {
    fn load(&mut self) -> Result<(Rules, Reloaded), BadFile> {
        let (rules, number) = self.rules.load().map_err(BadFile::Rules)?;
        if let Some(tls) = &self.tls {
            tls.reload().map_err(BadFile::Tls)?;
        }
        let reloaded = Reloaded {
            rules: number,
            certificates: self.tls.as_ref().map(|_| self.certificates),
        };
        Ok((rules, reloaded))
    }
}

impl Reloaded {
    fn line(self) -> Line {
        let line = Line::new("reloaded").number("rules", self.rules);
        match self.certificates {
            Some(certificates) => line.number("certificates", certificates),
            None => line,
        }
    }
}

impl BadFile {
    fn line(&self) -> Line {
        let line = Line::new("reload_failed");
        let line = match self {
            Self::Rules(error) => {
                let line = line.word("file", &error.file.display());
                let line = match error.line {
                    Some(number) => line.number("line", number),
                    None => line,
                };
                line.text("error", &error.message)
            }
            Self::Tls(error) => {
                let line = match error.file() {
                    Some(file) => line.word("file", &file.display()),
                    None => line,
                };
                line.text("error", error.problem())
            }
        };
        line.remark("nothing is changed")
    }
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

fn stats(handle: &Handle) -> Line {
    let stats = handle.stats();
    let mut line = Line::new("stats")
        .number("open", stats.open)
        .number("accepted", stats.accepted);
    for &reason in Reason::ALL {
        if stats.ended[reason] > 0 {
            line = line.number(reason.as_str(), stats.ended[reason]);
        }
    }
    line.number("in", stats.bytes_in)
        .number("out", stats.bytes_out)
}
