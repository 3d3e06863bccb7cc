//! The error of a text that is not a record.

use std::error::Error;
use std::fmt;

/// The error of a text that is not a [`Record`](super::Record). Its message is one line.
///
/// # Examples
///
/// ```
/// use halves::testing::Record;
///
/// let error = "halves-record 1\n0 in end\n0 over\n".parse::<Record>().unwrap_err();
/// assert_eq!(error.line(), 3);
/// assert!(error.to_string().starts_with("line 3: "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    line: usize,
    problem: String,
}

impl RecordError {
    pub(super) fn new(line: usize, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { line, problem }
    }

    /// Returns the number of the line. The first line has the number 1.
    ///
    /// # Examples
    ///
    /// See [`RecordError`].
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl Error for RecordError {}
