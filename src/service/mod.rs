//! The built-in services: handlers that use two halves and no transport.
//!
//! A new service needs a function in this folder and a row in the table `BuiltIn::ALL`. The parser
//! of the command and its `--help` are made from that table.

mod rfc;
mod transform;
mod upper;

use std::fmt;
use std::future::Future;
use std::io;

use crate::connection::Connection;

pub use rfc::{discard, echo};
pub use upper::{Upper, upper};

/// A row in the table of services. `R` runs the handler of the service that is chosen.
///
/// For the command; not part of the library's interface.
#[doc(hidden)]
pub struct BuiltIn<R: RunHandler> {
    /// The name on the command line.
    pub name: &'static str,
    /// The predicate of a sentence about the service, as in "upper answers in capital letters".
    pub help: &'static str,
    /// True if the service sends answers.
    pub answers: bool,
    /// True if the service uses [`ServiceSettings::close_word`].
    pub has_close_word: bool,
    /// Passes the handler of the service to `R`.
    pub run: fn(R, ServiceSettings) -> R::Output,
}

impl<R: RunHandler + 'static> BuiltIn<R> {
    /// Every service, in the order of `--help`.
    pub const ALL: &'static [Self] = &[
        Self {
            name: "upper",
            help: "answers in capital letters",
            answers: true,
            has_close_word: true,
            run: |runner, settings| {
                let mut upper = Upper::default();
                if let Some(word) = settings.close_word {
                    upper = upper.close_word(word);
                }
                runner.run(move |c: Connection| upper.serve(c.reader, c.writer))
            },
        },
        Self {
            name: "echo",
            help: "sends back what it reads",
            answers: true,
            has_close_word: false,
            run: |runner, _| runner.run(|c: Connection| echo(c.reader, c.writer)),
        },
        Self {
            name: "discard",
            help: "reads and sends nothing",
            answers: false,
            has_close_word: false,
            run: |runner, _| runner.run(|c: Connection| discard(c.reader, c.writer)),
        },
    ];
}

impl<R: RunHandler> fmt::Debug for BuiltIn<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BuiltIn").field(&self.name).finish()
    }
}

/// The settings that options of the command make.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct ServiceSettings {
    /// Closes a connection when one read yields exactly this word.
    pub close_word: Option<String>,
}

/// Runs one handler. Each service has a handler of its own type, so the task of a connection is no
/// larger than its service needs.
#[doc(hidden)]
pub trait RunHandler: Sized {
    /// The result of [`run`](Self::run).
    type Output;

    /// Serves connections with this handler.
    fn run<H, F>(self, handler: H) -> Self::Output
    where
        H: FnOnce(Connection) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static;
}
