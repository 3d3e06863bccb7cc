//! The layers of the options: TLS, and the header of the PROXY protocol. Each listener has them,
//! unless it is exempt.

use std::ops::Range;

use halves::Peer;
use halves::proxy_protocol::ProxyProtocol;
use halves::tls::{Acceptor, LoadError, ServerSettings};

use super::args::ServerOptions;
use super::listen_address::ListenAddress;

/// The layers of a server.
#[derive(Clone, Default)]
pub(super) struct Layers {
    pub(super) tls: Option<Acceptor>,
    pub(super) proxy: Option<ProxyProtocol>,
    /// The indexes of the listeners without TLS, in spite of `tls`.
    pub(super) tls_off: Vec<usize>,
    /// The indexes of the listeners that expect no header, in spite of `proxy`.
    pub(super) proxy_off: Vec<usize>,
    /// The indexes of the listeners with `truncated=reset`.
    pub(super) truncated_resets: Vec<usize>,
}

/// The layers of one listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListenerLayers {
    pub(super) tls: bool,
    /// True if the listener expects a PROXY header.
    pub(super) proxy: bool,
}

impl Layers {
    /// Reads the files of the TLS options.
    pub(super) fn load(options: &ServerOptions) -> Result<Self, LoadError> {
        let proxy = options.proxy_protocol.0.map(|version| {
            let trusted = options.trust_proxy.iter();
            trusted.fold(ProxyProtocol::new(version), |proxy, &net| proxy.trust(net))
        });
        let tls = (!options.tls_cert.is_empty()).then(|| acceptor(options));
        Ok(Self {
            tls: tls.transpose()?,
            proxy,
            tls_off: Vec::new(),
            proxy_off: Vec::new(),
            truncated_resets: Vec::new(),
        })
    }

    /// Exempts the listeners with these indexes from the layers that the address turns off, and
    /// keeps its other settings.
    pub(super) fn exempt(
        &mut self,
        listen: &ListenAddress,
        indexes: Range<usize>,
    ) -> Result<(), String> {
        let is_special = listen.tls_off || listen.proxy_off || listen.truncated_resets;
        if is_special && indexes.end > Peer::MAX_LISTENER_INDEX {
            return Err(format!(
                "--listen {listen}: tls=off, proxy=off and truncated=reset are for the first {} \
                 listeners",
                Peer::MAX_LISTENER_INDEX
            ));
        }
        if listen.tls_off {
            self.tls_off.extend(indexes.clone());
        }
        if listen.proxy_off {
            self.proxy_off.extend(indexes.clone());
        }
        if listen.truncated_resets {
            self.truncated_resets.extend(indexes);
        }
        Ok(())
    }

    /// Returns the layers of the listener with this index.
    pub(super) fn of(&self, index: usize) -> ListenerLayers {
        ListenerLayers {
            tls: self.tls.is_some() && !self.tls_off.contains(&index),
            proxy: self.proxy.is_some() && !self.proxy_off.contains(&index),
        }
    }
}

impl ListenerLayers {
    /// Returns the names, in the order in which a client meets the layers.
    pub(super) fn names(self) -> Option<&'static str> {
        match (self.proxy, self.tls) {
            (false, false) => None,
            (false, true) => Some("tls"),
            (true, false) => Some("proxy"),
            (true, true) => Some("proxy,tls"),
        }
    }
}

fn acceptor(options: &ServerOptions) -> Result<Acceptor, LoadError> {
    let pairs = options.tls_cert.iter().zip(&options.tls_key);
    let mut settings = pairs.fold(ServerSettings::default(), |settings, (cert, key)| {
        settings.certificate(cert, key)
    });
    if let Some(file) = &options.tls_client_ca {
        settings = settings.client_ca(file);
    }
    if let Some(when) = options.tls_client_auth {
        settings = settings.client_auth(when);
    }
    if let Some(version) = options.tls_min {
        settings = settings.min_version(version);
    }
    settings
        .alpn(options.tls_alpn.iter().map(String::as_str))
        .load()
}

/// Checks the options that need each other.
pub(super) fn check(options: &ServerOptions) -> Result<(), String> {
    let (certs, keys) = (options.tls_cert.len(), options.tls_key.len());
    if certs != keys {
        return Err(format!(
            "--tls-cert and --tls-key come in pairs, but there are {certs} and {keys}"
        ));
    }
    let has_tls = certs > 0;
    let needs_tls = [
        ("--tls-client-ca", options.tls_client_ca.is_some()),
        ("--tls-client-auth", options.tls_client_auth.is_some()),
        ("--tls-alpn", !options.tls_alpn.is_empty()),
        ("--tls-min", options.tls_min.is_some()),
        (
            "tls=off",
            options.listen.iter().any(|listen| listen.tls_off),
        ),
        (
            "truncated=reset",
            options.listen.iter().any(|listen| listen.truncated_resets),
        ),
    ];
    if let Some((name, _)) = needs_tls.iter().find(|(_, given)| *given && !has_tls) {
        return Err(format!("{name} needs --tls-cert and --tls-key"));
    }
    if options.tls_client_auth.is_some() && options.tls_client_ca.is_none() {
        return Err("--tls-client-auth needs --tls-client-ca".to_owned());
    }
    let expects_header = options.proxy_protocol.0.is_some();
    let trusts = !options.trust_proxy.is_empty();
    if expects_header && !trusts {
        return Err("--proxy-protocol needs --trust-proxy, the networks of load balancers".into());
    }
    if trusts && !expects_header {
        return Err("--trust-proxy needs --proxy-protocol".to_owned());
    }
    if !expects_header && options.listen.iter().any(|listen| listen.proxy_off) {
        return Err("proxy=off needs --proxy-protocol".to_owned());
    }
    Ok(())
}
