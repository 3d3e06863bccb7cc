//! The guard against DNS rebinding: a site can make its own name resolve to this machine. Its pages
//! would then share their origin with this listener, and could read it.

use std::net::IpAddr;

use halves::Endpoint;

/// Returns true if a request with this `Host` may be answered at `local`. On a loopback address it
/// must be an IP address, or a name that no site can have: `localhost`, `*.localhost`, or a name
/// without a dot. Elsewhere any name may be that of this machine.
pub(super) fn is_allowed(host: Option<&str>, local: &Endpoint) -> bool {
    let is_loopback = matches!(local, Endpoint::Inet(local) if local.ip().is_loopback());
    match host {
        Some(host) if is_loopback => is_local_name(host),
        _ => true,
    }
}

fn is_local_name(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']');
    let has_suffix = host.to_ascii_lowercase().ends_with(".localhost");
    ip.parse::<IpAddr>().is_ok() || has_suffix || !host.contains('.')
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn at(address: &str) -> Endpoint {
        let address: SocketAddr = address.parse().expect("an address");
        address.into()
    }

    #[test]
    fn on_loopback_a_host_is_an_address_or_a_local_name() {
        for local in [at("127.0.0.1:9000"), at("127.0.1.1:9000"), at("[::1]:9000")] {
            for host in [
                "",
                "127.0.0.1",
                "[::1]",
                "192.0.2.1",
                "localhost",
                "LocalHost",
                "a.localhost",
                "here",
            ] {
                assert!(is_allowed(Some(host), &local), "{host} at {local}");
            }
            for host in [
                "evil.example",
                "127.0.0.1.evil.example",
                "localhost.evil.example",
                "a.",
            ] {
                assert!(!is_allowed(Some(host), &local), "{host} at {local}");
            }
            assert!(is_allowed(None, &local));
        }
    }

    #[test]
    fn elsewhere_any_host_is_allowed() {
        for local in [at("192.0.2.1:9000"), Endpoint::Memory, Endpoint::Unknown] {
            assert!(is_allowed(Some("metrics.example"), &local), "{local}");
        }
    }
}
