//! `LoadError`: the reason why settings cannot be used.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::escape::OneLine;

use super::pem::Source;

/// An error in TLS settings, or in a file that they name.
///
/// The [`Display`](fmt::Display) form is one line, which begins with the name of the file if the
/// error is in a file.
///
/// # Examples
///
/// ```
/// use halves::tls::Acceptor;
///
/// let error = Acceptor::from_files("/nosuch/a.pem", "/nosuch/a.key").unwrap_err();
/// assert!(error.to_string().starts_with("/nosuch/a.pem: No such file or directory"));
/// assert_eq!(error.file(), Some("/nosuch/a.pem".as_ref()));
/// ```
#[derive(Debug)]
pub struct LoadError {
    place: Option<Source>,
    problem: String,
}

impl LoadError {
    /// Returns the file that the error is in. `None` if it is in the settings, or in PEM text that
    /// was passed in memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::ServerSettings;
    ///
    /// let error = ServerSettings::new().load().unwrap_err();
    /// assert_eq!(error.to_string(), "a TLS server needs a certificate and its private key");
    /// assert_eq!(error.file(), None);
    /// ```
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Some(Source::File(path)) => Some(path),
            _ => None,
        }
    }

    /// Returns the description without the name of the file. It may have several lines, or other
    /// text of the file.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::Acceptor;
    ///
    /// let error = Acceptor::from_files("/nosuch/a.pem", "/nosuch/a.key").unwrap_err();
    /// assert_eq!(error.problem(), "No such file or directory (os error 2)");
    /// ```
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    pub(super) fn at(place: &Source, problem: impl fmt::Display) -> Self {
        let place = match place {
            Source::File(path) => Source::File(PathBuf::clone(path)),
            // The text may be a private key.
            Source::Memory(what, _) => Source::Memory(what, [].into()),
        };
        Self {
            place: Some(place),
            problem: problem.to_string(),
        }
    }

    pub(super) fn settings(problem: impl fmt::Display) -> Self {
        Self {
            place: None,
            problem: problem.to_string(),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", OneLine(&self.problem))
    }
}

impl Error for LoadError {}

impl From<LoadError> for io::Error {
    fn from(error: LoadError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}
