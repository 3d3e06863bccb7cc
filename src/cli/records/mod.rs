//! `--record`: a file for each connection, with its traffic. A thread writes the files, so that no
//! disk holds up a connection.

mod failures;
mod file;
mod queue;
mod service;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};
use halves::testing::Recorder;
use halves::time::unix_time;
use halves::{Clock, Connection};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::args::ServerOptions;
use super::log::Lines;
use failures::Failures;
use queue::{RecordQueue, Sink};
pub(super) use service::RecordedService;
use writer::Writer;

/// The longest wait for the last lines at the end of the process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The records of a server. Each connection has a file.
#[derive(Clone)]
pub(super) struct Records(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    queue: Arc<RecordQueue>,
    failures: Arc<Failures>,
    recorder: Recorder,
}

impl Records {
    /// Returns the records of these options, or None without `--record`. Nothing is written before
    /// [`start`](Self::start).
    pub(super) fn of(options: &ServerOptions, lines: &Lines) -> Option<Self> {
        let dir = options.record.clone()?;
        let recorder = Recorder::default();
        Some(Self(Arc::new(Shared {
            dir,
            queue: Arc::default(),
            failures: Arc::new(Failures::new(lines.clone(), Clock::default())),
            recorder: match options.record_limit {
                Some(limit) => recorder.limit(limit),
                None => recorder,
            },
        })))
    }

    /// Checks the directory, and starts the thread.
    pub(super) fn start(&self) -> io::Result<()> {
        check(&self.0.dir).map_err(io::Error::other)?;
        let writer = Writer::new(self.0.dir.clone(), self.0.failures.clone());
        writer.start(self.0.queue.clone())
    }

    /// Waits until the last lines are written, for [`FLUSH_TIMEOUT`] at most.
    pub(super) fn finish(&self) {
        self.0.queue.flush(FLUSH_TIMEOUT);
        self.0.failures.report_rest();
    }

    /// Records a connection.
    fn record<R, W>(&self, connection: Connection<R, W>) -> Connection
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let file = file::name(unix_time(), process::id(), connection.peer.id());
        let mut sink = Sink::new(self.0.queue.clone(), file.into());
        let recorded = self
            .0
            .recorder
            .record_to(connection, move |text| sink.push(text));
        recorded.erase()
    }
}

/// Checks that this process can create files in the directory of `--record`. An error is one line.
pub(super) fn check(dir: &Path) -> Result<(), String> {
    let problem = |problem: &str| format!("--record {}: {problem}", dir.display());
    match dir.metadata() {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(problem("not a directory")),
        Err(error) => return Err(problem(&format!("{error}; make the directory first"))),
    }
    accessat(
        CWD,
        dir,
        Access::WRITE_OK | Access::EXEC_OK,
        AtFlags::EACCESS,
    )
    .map_err(|error| {
        let error = io::Error::from(error);
        problem(&format!("the server cannot create files there: {error}"))
    })
}
