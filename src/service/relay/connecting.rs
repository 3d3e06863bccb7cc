//! Connecting to a target, and the check of those that are left out.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustix::io::Errno;

use super::copy::TruncatedResets;
use super::health::Check;
use super::settings::{Health, Settings};
use super::target::{Place, TargetState};
use crate::connect::ConnectOptions;
use crate::connection::Connection;
use crate::error::Error;
use crate::proxy_protocol::Header;
use crate::time::Clock;

/// Errors for which this machine is the cause, and not the target.
const OUR_ERRORS: [Errno; 5] = [
    Errno::MFILE,
    Errno::NFILE,
    Errno::NOBUFS,
    Errno::NOMEM,
    Errno::ADDRNOTAVAIL,
];

/// Tries the targets in order, and connects to the first that takes the connection.
pub(super) async fn connect(
    settings: Arc<Settings>,
    client: Header,
    clock: Clock,
) -> io::Result<(Connection, Place)> {
    let mut failures = Vec::new();
    for state in settings.order() {
        // Taken before the connect, so that connections at the same time are spread.
        let place = Place::of(&state);
        match connect_to(&state, &settings, &client, &clock).await {
            Ok(connection) => {
                if settings.health == Health::Tcp {
                    state.health.succeed();
                }
                return Ok((connection, place));
            }
            Err(error) => failures.push(error),
        }
    }
    Err(joined(&failures))
}

async fn connect_to(
    state: &TargetState,
    settings: &Settings,
    client: &Header,
    clock: &Clock,
) -> io::Result<Connection> {
    let target = &state.target;
    let mut options = options(state, settings, clock);
    if let Some(version) = target.send_proxy {
        options = options.send_proxy_for(client.clone(), version);
    }
    let connected = options.connect(target.address.clone()).await;
    let connection = connected.inspect_err(|error| {
        if !is_ours(error) {
            state.health.fail(clock.now());
        }
    })?;
    if target.truncated_resets {
        connection.peer.set_extension(TruncatedResets);
    }
    Ok(connection)
}

fn options(state: &TargetState, settings: &Settings, clock: &Clock) -> ConnectOptions {
    let options = state.target.options.clone();
    options
        .timeout(settings.connect_timeout)
        .clock(clock.clone())
}

/// Makes the check of a target that was left out.
// It has no reference to the state of the target, which may keep it.
pub(super) fn check(state: &TargetState, settings: &Settings, clock: &Clock) -> Check {
    let mut options = options(state, settings, clock);
    if let Some(version) = state.target.send_proxy {
        options = options.send_proxy(version);
    }
    let address = state.target.address.clone();
    let (health, timeout, clock) = (settings.health, settings.connect_timeout, clock.clone());
    Box::pin(async move {
        let mut connection = options.connect(address).await?;
        if health == Health::Tcp {
            return Ok(());
        }
        let line = async {
            let line = connection.reader.line().await.map_err(io::Error::other)?;
            line.map(drop).ok_or(ErrorKind::UnexpectedEof.into())
        };
        if timeout.is_zero() {
            return line.await;
        }
        let in_time = clock.timeout(timeout, line).await;
        in_time.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    })
}

/// Returns true if the error is not that of the target.
pub(super) fn is_ours(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let source = match inner {
        Some(Error::Connect { source, .. } | Error::Resolve { source, .. }) => source,
        _ => error,
    };
    Errno::from_io_error(source).is_some_and(|errno| OUR_ERRORS.contains(&errno))
}

/// Returns one error with the texts of all, and the kind of the last.
fn joined(failures: &[io::Error]) -> io::Error {
    let kind = failures.last().map_or(ErrorKind::NotFound, io::Error::kind);
    let texts = failures.iter().map(io::Error::to_string);
    io::Error::new(kind, texts.collect::<Vec<_>>().join("; "))
}
