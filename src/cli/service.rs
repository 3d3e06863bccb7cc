//! The services of the command: their names, and how each is run.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use halves::proxy_protocol::{ProxyProtocol, Version};
use halves::service::{self, BuiltIn, Handover, RunService, ServiceSettings, TruncatedResets};
use halves::{Connection, Executor, Listeners, Report, Server};
use pin_project_lite::pin_project;

use super::layered_listeners::LayeredListeners;
use super::layers::Layers;
use super::records::{RecordedService, Records};
use super::words::{did_you_mean, nearest};

/// A service of the command, as a row of the library's table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service(pub(super) &'static BuiltIn<ServiceRunner>);

/// The service that a server runs, and its name.
pub(super) struct Served {
    /// The name in the log.
    pub(super) name: &'static str,
    /// True if the service sends answers.
    pub(super) answers: bool,
    /// The number of files that each connection opens.
    pub(super) files: usize,
    /// The time that connections may take beyond the drain timeout.
    pub(super) grace: Duration,
    /// Relays that move to a new process.
    pub(super) handover: Option<Handover>,
    /// Passes the service to the runner.
    pub(super) run: Box<dyn FnOnce(ServiceRunner) -> Running + Send>,
}

/// A running server.
pub(super) type Running = Pin<Box<dyn Future<Output = io::Result<Report>> + Send>>;

/// Serves connections with the handler of the service that was chosen.
pub(super) struct ServiceRunner {
    pub(super) server: Server,
    pub(super) ex: Executor,
    pub(super) listeners: Listeners,
    pub(super) layers: Layers,
    /// The channel of the relays that the old process gives up.
    pub(super) relays: Option<OwnedFd>,
    /// The records of the connections, with `--record`.
    pub(super) records: Option<Records>,
}

impl Service {
    /// Every service, in the order of `--help`.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        BuiltIn::ALL.iter().map(Self)
    }
}

impl Served {
    /// Serves with a row of the library's table.
    pub(super) fn built_in(Service(row): Service, settings: ServiceSettings) -> Self {
        Self {
            name: row.name,
            answers: row.answers,
            files: 1,
            grace: Duration::ZERO,
            handover: None,
            run: Box::new(|runner| (row.run)(runner, settings)),
        }
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

impl RunService for ServiceRunner {
    type Output = Running;

    fn run(mut self, service: impl service::Service) -> Self::Output {
        if let Some(records) = self.records.take() {
            return self.run(RecordedService::new(service, records));
        }
        let Self {
            server,
            ex,
            listeners,
            layers,
            relays,
            ..
        } = self;
        let handler = {
            let service = service.clone();
            move |c: Connection| service.serve(c)
        };
        if layers.tls.is_none() && layers.proxy.is_none() && relays.is_none() {
            return Box::pin(server.serve(ex, listeners, handler));
        }
        let secure = layers.tls.map(|tls| tls.wrap(move |c| service.serve(c)));
        let tls_off: Arc<[usize]> = layers.tls_off.into();
        let truncated_resets: Arc<[usize]> = layers.truncated_resets.into();
        let either = move |c: Connection| match secure {
            Some(secure) if !tls_off.contains(&c.peer.listener()) && !c.peer.is_handed_over() => {
                if truncated_resets.contains(&c.peer.listener()) {
                    c.peer.set_extension(TruncatedResets);
                }
                Either::Secure { served: secure(c) }
            }
            _ => Either::Plain { served: handler(c) },
        };
        let exempt = layers.proxy_off.into_iter();
        let proxy = layers
            .proxy
            .map(|proxy| exempt.fold(proxy, ProxyProtocol::except));
        // A connection that is not marked by its listener has no header to wait for.
        let no_header = || ProxyProtocol::new(Version::Any);
        let handler = proxy.clone().unwrap_or_else(no_header).wrap(either);
        Box::pin(async move {
            let listeners = LayeredListeners::new(listeners, proxy.as_ref(), relays)?;
            server.serve(ex, listeners, handler).await
        })
    }
}

pin_project! {
    /// The future of a service on a listener without TLS, or with it.
    #[project = EitherProjection]
    enum Either<P, S> {
        Plain { #[pin] served: P },
        Secure { #[pin] served: S },
    }
}

impl<P, S, T> Future for Either<P, S>
where
    P: Future<Output = T>,
    S: Future<Output = T>,
{
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.project() {
            EitherProjection::Plain { served } => served.poll(cx),
            EitherProjection::Secure { served } => served.poll(cx),
        }
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
