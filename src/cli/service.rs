//! The services of the command: their names, and how each is run.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::str::FromStr;

use halves::service::{BuiltIn, RunHandler};
use halves::{Connection, Executor, Listeners, Report, Server};

use super::words::{did_you_mean, nearest};

/// A service of the command, as a row of the library's table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service(pub(super) &'static BuiltIn<ServiceRunner>);

/// Serves connections with the handler of the service that was chosen.
pub(super) struct ServiceRunner {
    pub(super) server: Server,
    pub(super) ex: Executor,
    pub(super) listeners: Listeners,
}

impl Service {
    /// Every service, in the order of `--help`.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        BuiltIn::ALL.iter().map(Self)
    }
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::all().find(|service| service.0.name == text);
        found.ok_or_else(|| {
            let names = list(Self::all().map(|service| service.0.name.to_owned()));
            let meant = nearest(text, Self::all().map(|service| service.0.name));
            did_you_mean(&format!("not a service; the services are {names}"), meant)
        })
    }
}

impl RunHandler for ServiceRunner {
    type Output = Pin<Box<dyn Future<Output = io::Result<Report>> + Send>>;

    fn run<H, F>(self, handler: H) -> Self::Output
    where
        H: FnOnce(Connection) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        Box::pin(self.server.serve(self.ex, self.listeners, handler))
    }
}

/// The error of a command without a service.
pub(super) fn no_service_given() -> String {
    let services = list(Service::all().map(|Service(row)| format!("{} ({})", row.name, row.help)));
    format!("no service given; the services are {services}")
}

/// Joins items as in "a, b and c".
fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    match &items[..] {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => items.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_is_read_and_listed() {
        for service in Service::all() {
            let name = service.0.name;
            assert_eq!(name.parse::<Service>().map(|read| read.0.name), Ok(name));
            assert!(no_service_given().contains(&format!(" {name} (")));
        }
        assert_eq!(
            list(["a", "b", "c"].map(String::from).into_iter()),
            "a, b and c"
        );
    }
}
