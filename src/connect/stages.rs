//! The steps of a connect: the name, the connection, the PROXY header.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use super::race::race;
use super::{ConnectOptions, ConnectTimings, tcp, unix};
use crate::address::{Access, Address, ListenOptions};
use crate::connection::Connection;
use crate::error::Error;
use crate::listener;
use crate::listener::tcp::resolve;
use crate::listener::unix::{abstract_name, path_name};
use crate::proxy_protocol::{Header, send};

impl ConnectOptions {
    /// Does all steps, within the timeout.
    pub(super) async fn in_time(
        &self,
        address: &Address,
        timings: &mut ConnectTimings,
    ) -> io::Result<Connection> {
        if self.timeout.is_zero() {
            return self.all_steps(address, timings).await;
        }
        let connecting = self.all_steps(address, timings);
        let connected = self.clock.timeout(self.timeout, connecting).await;
        connected.unwrap_or_else(|_| Err(self.timed_out(address, timings)))
    }

    async fn all_steps(
        &self,
        address: &Address,
        timings: &mut ConnectTimings,
    ) -> io::Result<Connection> {
        #[cfg(feature = "tls")]
        if let Some(connector) = &self.tls {
            let connected = self.connect_tls(connector, address, timings).await;
            return connected.map(Connection::erase);
        }
        self.stream(address, timings).await
    }

    /// Makes a connection without TLS. The PROXY header is written, but may not be flushed.
    pub(super) async fn stream(
        &self,
        address: &Address,
        timings: &mut ConnectTimings,
    ) -> io::Result<Connection> {
        let resolved = match address {
            Address::Tcp { host, port, .. } => self.resolve(address, host, *port, timings).await?,
            _ => Vec::new(),
        };
        let begin = self.clock.now();
        let connected = self.connect_any(address, resolved).await;
        let mut connection = connected.map_err(|source| connect_error(address, source))?;
        timings.connect = Some(self.clock.now() - begin);
        if let Some(proxy) = &self.proxy {
            let peer = &connection.peer;
            let own = || Header::new(peer.local(), peer.endpoint());
            let header = proxy.header.clone().unwrap_or_else(own);
            let sent = send(&mut connection.writer, &header, proxy.version).await;
            sent.map_err(|source| connect_error(address, source))?;
        }
        Ok(connection)
    }

    async fn resolve(
        &self,
        address: &Address,
        host: &str,
        port: u16,
        timings: &mut ConnectTimings,
    ) -> io::Result<Vec<SocketAddr>> {
        let begin = self.clock.now();
        let resolved = resolve(local_if_empty(host), port).await;
        let resolved = resolved.map_err(|source| match source.kind() {
            // Nothing was looked up.
            ErrorKind::InvalidInput => connect_error(address, source),
            _ => resolve_error(address, source),
        })?;
        if has_name(address) {
            timings.name = Some(self.clock.now() - begin);
        }
        Ok(resolved)
    }

    async fn connect_any(
        &self,
        address: &Address,
        resolved: Vec<SocketAddr>,
    ) -> io::Result<Connection> {
        let message = match address {
            Address::Tcp { options, .. } if *options == ListenOptions::default() => {
                let addresses = tcp::of_family(resolved, self.source)?;
                let attempt = |address| tcp::attempt(address, self.source);
                return race(&self.clock, addresses, attempt).await;
            }
            Address::Tcp { .. } => {
                "keepalive, backlog, nagle, reuse-port and v6-only are for listening"
            }
            _ if self.source.is_some() => "only a TCP connection has a source address",
            Address::Unix { path, access } if *access == Access::default() => {
                return unix::connect(path_name(path)?).await;
            }
            Address::Unix { .. } => "mode, user and group are for listening",
            Address::Abstract { name } => return unix::connect(abstract_name(name)?).await,
            Address::Fd { number, options } => {
                return listener::inherited_connection(*number, options);
            }
            Address::Stdio => return listener::stdio(),
            Address::Activation { .. } => "sd-listen is for listening",
        };
        Err(io::Error::new(ErrorKind::InvalidInput, message))
    }

    /// Returns the error of the step that has not ended in time.
    fn timed_out(&self, address: &Address, timings: &ConnectTimings) -> io::Error {
        let message = format!("no answer within {:?}", self.timeout);
        let source = io::Error::new(ErrorKind::TimedOut, message);
        match timings {
            ConnectTimings { name: None, .. } if has_name(address) => {
                resolve_error(address, source)
            }
            #[cfg(feature = "tls")]
            ConnectTimings {
                connect: Some(_), ..
            } if self.tls.is_some() => super::tls::tls_error(address, source),
            _ => connect_error(address, source),
        }
    }
}

/// Without a host, a connect is to this machine.
fn local_if_empty(host: &str) -> &str {
    if host.is_empty() { "localhost" } else { host }
}

/// Returns true if an address has a name to look up.
fn has_name(address: &Address) -> bool {
    match address {
        Address::Tcp { host, .. } => local_if_empty(host).parse::<IpAddr>().is_err(),
        _ => false,
    }
}

fn resolve_error(address: &Address, source: io::Error) -> io::Error {
    let address = address.to_string();
    Error::Resolve { address, source }.into()
}

fn connect_error(address: &Address, source: io::Error) -> io::Error {
    let address = address.to_string();
    Error::Connect { address, source }.into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_error_of_a_timeout_is_that_of_the_step() {
        let options = ConnectOptions::new().timeout(Duration::from_millis(1500));
        let mut timings = ConnectTimings::default();
        let error_at = |address: &str, timings: &ConnectTimings| {
            let address = address.parse().expect("an address");
            let error = options.timed_out(&address, timings);
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            error.to_string()
        };
        assert_eq!(
            error_at("example.org:80", &timings),
            "cannot resolve example.org:80: no answer within 1.5s"
        );
        let connect = |address| format!("cannot connect to {address}: no answer within 1.5s");
        for address in ["127.0.0.1:80", "[::1]:80", "unix:/x"] {
            assert_eq!(error_at(address, &timings), connect(address));
        }
        timings.name = Some(Duration::ZERO);
        assert_eq!(
            error_at("example.org:80", &timings),
            connect("example.org:80")
        );
    }
}
