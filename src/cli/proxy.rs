//! `halves proxy`: a relay to targets.

use std::time::Duration;

use halves::service::{Handover, Relay, RunService, Target};

use super::args::Proxy;
use super::service::Served;
use super::target_address::TargetAddress;

/// The files of a connection: both sockets.
const FILES: usize = 2;

/// Reads the files of the targets. An error is one line.
pub(super) fn service(proxy: &Proxy) -> Result<Served, String> {
    let mut targets = proxy.target.iter().map(target);
    let first = targets.next().ok_or("no target")??;
    let relay = targets.try_fold(Relay::to(first), |relay, target| {
        target.map(|target| relay.and(target))
    })?;
    let relay = relay
        .balance(proxy.balance)
        .health(proxy.health)
        .connect_timeout(proxy.connect_timeout);
    let handover = proxy.handover.then(Handover::default);
    let relay = match &handover {
        Some(handover) => relay.handover(handover),
        None => relay,
    };
    Ok(Served {
        name: "proxy",
        answers: true,
        files: FILES,
        grace: Duration::ZERO,
        handover,
        run: Box::new(|runner| runner.run(relay)),
    })
}

/// Reads the files of a target. An error is one line.
pub(super) fn target(address: &TargetAddress) -> Result<Target, String> {
    let loaded = address.load();
    let options = loaded.map_err(|error| format!("target {address}: {error}"))?;
    let mut target = Target::from(address.address.clone()).options(options);
    if let Some(version) = address.send_proxy {
        target = target.send_proxy(version);
    }
    if address.tls.as_ref().is_some_and(|tls| tls.truncated_resets) {
        target = target.truncated_resets();
    }
    Ok(target)
}
