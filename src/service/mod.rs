//! The built-in services: handlers that use two halves and no transport.
//!
//! A new service needs a function in this folder and a row in the table `BuiltIn::ALL`. The parser
//! of the command and its `--help` are made from that table.

mod chargen;
mod clock;
mod exec;
mod relay;
mod rfc;
mod transform;
mod upper;

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use futures_lite::{AsyncRead, AsyncWrite};

use crate::connection::{Connection, Reader, Writer};

pub use chargen::chargen;
pub use clock::{daytime, time};
pub use exec::{Exec, Exited};
pub use relay::{Balance, Health, Relay, Target, TruncatedResets, relay};
#[cfg(target_os = "linux")]
pub use relay::{HandedOver, Handover, HandoverListener};
pub use rfc::{discard, echo};
pub use upper::{Upper, upper};

/// A row in the table of services. `R` runs the service that is chosen.
///
/// For the command; not part of the library's interface.
#[doc(hidden)]
pub struct BuiltIn<R: RunService> {
    /// The name on the command line.
    pub name: &'static str,
    /// The predicate of a sentence about the service, as in "upper answers in capital letters".
    pub help: &'static str,
    /// True if the service sends answers.
    pub answers: bool,
    /// True if the service uses [`ServiceSettings::close_word`].
    pub has_close_word: bool,
    /// Passes the service to `R`.
    pub run: fn(R, ServiceSettings) -> R::Output,
}

impl<R: RunService + 'static> BuiltIn<R> {
    /// Every service, in the order of `--help`.
    pub const ALL: &'static [Self] = &[
        Self {
            name: "upper",
            help: "answers in capital letters",
            answers: true,
            has_close_word: true,
            run: |runner, settings| {
                let upper = Upper::default();
                runner.run(match settings.close_word {
                    Some(word) => upper.close_word(word),
                    None => upper,
                })
            },
        },
        Self {
            name: "echo",
            help: "sends back what it reads",
            answers: true,
            has_close_word: false,
            run: |runner, _| runner.run(Echo),
        },
        Self {
            name: "discard",
            help: "reads and sends nothing",
            answers: false,
            has_close_word: false,
            run: |runner, _| runner.run(Discard),
        },
        Self {
            name: "chargen",
            help: "sends lines of characters until the client leaves",
            answers: true,
            has_close_word: false,
            run: |runner, _| runner.run(Rare::Chargen),
        },
        Self {
            name: "daytime",
            help: "sends the date and time in UTC as text",
            answers: true,
            has_close_word: false,
            run: |runner, _| runner.run(Rare::Daytime),
        },
        Self {
            name: "time",
            help: "sends the seconds since 1900 in 4 bytes",
            answers: true,
            has_close_word: false,
            run: |runner, _| runner.run(Rare::Time),
        },
    ];
}

impl<R: RunService> fmt::Debug for BuiltIn<R> {
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

/// A service for connections of any kind, such as sockets and TLS.
#[doc(hidden)]
pub trait Service: Clone + Send + Sync + 'static {
    /// Serves one connection.
    fn serve<R, W>(
        self,
        connection: Connection<R, W>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static;
}

/// Runs one service. Each has futures of its own types, so the task of a connection is no larger
/// than its service needs.
#[doc(hidden)]
pub trait RunService: Sized {
    /// The result of [`run`](Self::run).
    type Output;

    /// Serves connections with this service.
    fn run(self, service: impl Service) -> Self::Output;
}

#[derive(Clone)]
struct Echo;

#[derive(Clone)]
struct Discard;

/// Services for which an allocation for each connection does not matter. They have one type, so that
/// a command has the code that serves connections once for all of them.
#[derive(Clone)]
enum Rare {
    Chargen,
    Daytime,
    Time,
}

impl Service for Exec {
    fn serve<R, W>(
        self,
        connection: Connection<R, W>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        Self::serve(self, connection)
    }
}

/// Implements [`Service`] by a function of a service and two halves.
macro_rules! serve_by {
    ($service:ty, $function:expr) => {
        impl Service for $service {
            fn serve<R, W>(
                self,
                Connection { reader, writer, .. }: Connection<R, W>,
            ) -> impl Future<Output = io::Result<()>> + Send + 'static
            where
                R: AsyncRead + Send + Unpin + 'static,
                W: AsyncWrite + Send + Unpin + 'static,
            {
                $function(self, reader, writer)
            }
        }
    };
}

impl Rare {
    fn serve_boxed<R, W>(
        self,
        reader: Reader<R>,
        writer: Writer<W>,
    ) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        match self {
            Self::Chargen => Box::pin(chargen(reader, writer)),
            Self::Daytime => Box::pin(daytime(reader, writer)),
            Self::Time => Box::pin(time(reader, writer)),
        }
    }
}

serve_by!(Upper, |upper: Self, r, w| upper.serve(r, w));
serve_by!(Echo, |_, r, w| echo(r, w));
serve_by!(Discard, |_, r, w| discard(r, w));
serve_by!(Rare, |rare: Self, r, w| rare.serve_boxed(r, w));
