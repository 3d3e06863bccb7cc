//! `halves check`: looks for problems of a server without starting it.

use std::error::Error;
use std::io;

use futures_lite::future::block_on;
use halves::tls::Acceptor;
use halves::{Address, listener};
use rustix::process::geteuid;

use super::args::{Proxy, ServerOptions};
use super::format::Format;
use super::layers::Layers;
use super::log::Level;
use super::privileges::Identity;
use super::rules::RuleSources;
use super::server_command::ServerCommand;
use super::target_address::TargetAddress;
use super::{EXIT_FAILED, exec, print, proxy, records, with_log};

/// Prints the problems of a server, or else a line that counts its parts. Returns the exit code.
pub(super) fn run(command: &ServerCommand, options: &ServerOptions) -> u8 {
    let mut check = Check::default();
    block_on(check.addresses(options));
    let identity = check.problem(Identity::find(options)).flatten();
    check.tls(options);
    check.rules(options);
    block_on(check.command(command));
    check.records(options, identity.as_ref());
    let Check { problems, parts } = check;
    if problems.is_empty() {
        return print(&format!("ok: {}\n", parts.join(", ")));
    }
    with_log(Format::Text, Level::Normal, |log| {
        for problem in &problems {
            log.complain(problem);
        }
        EXIT_FAILED
    })
}

/// The results so far.
#[derive(Default)]
struct Check {
    /// Each is one line.
    problems: Vec<String>,
    /// The counts of what was found.
    parts: Vec<String>,
}

impl Check {
    async fn addresses(&mut self, options: &ServerOptions) {
        let listen = options.listen.iter().map(|listen| &listen.address);
        let control = options.control.iter().map(|control| &control.address);
        let others = control.chain(&options.metrics);
        let addresses: Vec<_> = listen.chain(others).cloned().collect();
        self.count(addresses.len(), "address", "addresses");
        for address in addresses {
            self.problem(listener::check(address).await);
        }
    }

    fn rules(&mut self, options: &ServerOptions) {
        let mut sources = RuleSources::new(options.allow.clone(), options.deny.clone());
        let problems = sources.problems();
        if problems.is_empty() {
            let rules = self.problem(sources.load());
            self.count(rules.map_or(0, |(_, count)| count), "rule", "rules");
        }
        self.problems
            .extend(problems.iter().map(ToString::to_string));
    }

    fn tls(&mut self, options: &ServerOptions) {
        let before = self.problems.len();
        for (cert, key) in options.tls_cert.iter().zip(&options.tls_key) {
            self.problem(Acceptor::from_files(cert, key));
        }
        if self.problems.len() == before {
            self.problem(Layers::load(options));
        }
        self.count(options.tls_cert.len(), "certificate", "certificates");
    }

    /// Comes last: as root, it changes to the user of the server, with no way back.
    fn records(&mut self, options: &ServerOptions, identity: Option<&Identity>) {
        let Some(dir) = &options.record else {
            return;
        };
        let identity = identity.filter(|_| geteuid().is_root());
        if identity.is_none_or(|it| self.problem(it.assume()).is_some()) {
            self.problem(records::check(dir));
        }
    }

    async fn command(&mut self, command: &ServerCommand) {
        match command {
            ServerCommand::Serve(_) => {}
            ServerCommand::Exec(program) => {
                let found = exec::find(program);
                self.problem(found.map_err(|error| format!("exec: {error}")));
            }
            ServerCommand::Proxy(Proxy { target, .. }) => {
                for target in target {
                    self.problem(proxy::target(target));
                    self.problem(resolve(target).await);
                }
                self.count(target.len(), "target", "targets");
            }
        }
    }

    fn problem<T, E: ToString>(&mut self, checked: Result<T, E>) -> Option<T> {
        checked
            .map_err(|problem| self.problems.push(problem.to_string()))
            .ok()
    }

    /// Adds a count, unless there is none.
    fn count(&mut self, count: usize, one: &str, several: &str) {
        match count {
            0 => {}
            1 => self.parts.push(format!("1 {one}")),
            n => self.parts.push(format!("{n} {several}")),
        }
    }
}

/// Resolves the host of a target.
async fn resolve(target: &TargetAddress) -> Result<(), String> {
    match &target.address {
        address @ Address::Tcp { .. } => listener::check(address.clone()).await,
        _ => Ok(()),
    }
    .map_err(|error: io::Error| {
        let cause = error.source().map(ToString::to_string);
        format!(
            "target {target}: cannot resolve: {}",
            cause.unwrap_or_default()
        )
    })
}
