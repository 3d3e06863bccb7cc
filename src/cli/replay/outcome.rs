//! The end of `halves replay`: an exit code, a line for people, an object for scripts.

use halves::testing::{Difference, Replayed};
use serde::Serialize;

use crate::cli::connect::verdict::{End, Verdict};
use crate::cli::units::size;
use crate::cli::{EXIT_FAILED, EXIT_SIGNALED, EXIT_USAGE};

/// The cause of the end.
#[derive(Debug)]
pub(super) enum Outcome {
    Same(Replayed),
    Differs(Difference),
    /// Files, signals or the system.
    Failed(String),
    /// There is no connection.
    Unconnected(End),
    /// The number of the signal.
    Signaled(u8),
}

/// The facts for scripts. Facts that are not known are null.
#[derive(Serialize)]
struct Facts<'a> {
    file: &'a str,
    verdict: &'static str,
    code: u8,
    error: Option<String>,
    offset: Option<u64>,
    line: Option<usize>,
    recorded: Option<String>,
    answered: Option<String>,
    sent: Option<u64>,
    received: Option<u64>,
    whole: Option<bool>,
    ms: Option<f64>,
}

impl Outcome {
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Same(_) => 0,
            Self::Differs(_) => EXIT_FAILED,
            Self::Failed(_) => EXIT_USAGE,
            Self::Unconnected(end) if end.verdict == Verdict::Failed => EXIT_USAGE,
            Self::Unconnected(end) => end.verdict.code(),
            Self::Signaled(number) => EXIT_SIGNALED | number,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Same(_) => "same",
            Self::Differs(_) => "differs",
            Self::Failed(_) => "failed",
            Self::Unconnected(end) => end.verdict.word(),
            Self::Signaled(_) => "signal",
        }
    }

    /// Returns the line for standard error, if there is one.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Differs(difference) => Some(difference.to_string()),
            Self::Failed(problem) => Some(problem.clone()),
            Self::Unconnected(end) => end.problem.clone(),
            Self::Same(_) | Self::Signaled(_) => None,
        }
    }

    /// Returns the line for standard output, or nothing.
    pub(super) fn line(&self) -> String {
        let Self::Same(replayed) = self else {
            return String::new();
        };
        let (sent, received) = (size(replayed.sent), size(replayed.received));
        let seconds = replayed.time.as_secs_f64();
        let same = if replayed.is_whole {
            "same"
        } else {
            "same as far as recorded"
        };
        format!("{same}: {sent} sent, {received} received in {seconds:.3}s\n")
    }

    /// Returns one object on one line.
    pub(super) fn json(&self, file: &str) -> String {
        let (difference, replayed) = match self {
            Self::Same(replayed) => (None, Some(replayed)),
            Self::Differs(difference) => (Some(difference), None),
            _ => (None, None),
        };
        let time = difference.map(|it| it.time).or(replayed.map(|it| it.time));
        let facts = Facts {
            file,
            verdict: self.word(),
            code: self.code(),
            error: self.problem(),
            offset: difference.map(|it| it.offset),
            line: difference.map(|it| it.line),
            recorded: difference.map(|it| it.recorded.to_string()),
            answered: difference.map(|it| it.answered.to_string()),
            sent: replayed.map(|it| it.sent),
            received: replayed.map(|it| it.received),
            whole: replayed.map(|it| it.is_whole),
            ms: time.map(|time| time.as_secs_f64() * 1000.0),
        };
        // No member can fail.
        serde_json::to_string(&facts).unwrap_or_default() + "\n"
    }
}
