//! The variables of a child that describe its connection.

use std::ffi::{CString, OsStr};
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;

use super::Settings;
use crate::connection::{Endpoint, Peer, UnixName};
use crate::process::{name_of, variable};

/// The names of variables that are set here, or by tools that do the same.
const NAMES: &[&str] = &[
    "NOTIFY_SOCKET",
    "PROTO",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "SSL_ALPN",
    "SSL_CIPHER",
    "SSL_PEER_CERT_HASH",
    "SSL_PEER_CERT_SUBJECT",
    "SSL_PROTOCOL",
    "SSL_TLS_SNI_SERVERNAME",
    "TCPCONNNUM",
    "TCPLOCALHOST",
    "TCPLOCALIP",
    "TCPLOCALPORT",
    "TCPREMOTEHOST",
    "TCPREMOTEINFO",
    "TCPREMOTEIP",
    "TCPREMOTEPORT",
    "UNIXLOCALPATH",
    "UNIXREMOTEGID",
    "UNIXREMOTEPID",
    "UNIXREMOTEUID",
];
const PREFIXES: &[&str] = &["LISTEN_", "WATCHDOG_"];

/// Returns true if an inherited variable of this name is not passed on.
pub(super) fn is_removed(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let is_one = NAMES.iter().any(|one| one.as_bytes() == name);
    is_one
        || PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// Variables of one child.
#[derive(Default)]
struct Variables(Vec<CString>);

impl Variables {
    fn add(&mut self, name: &str, value: impl Display) {
        self.add_os(name.as_ref(), value.to_string().as_ref());
    }

    fn remove(&mut self, name: &OsStr) {
        self.0.retain(|variable| name_of(variable) != name);
    }

    /// Leaves a variable out that contains a zero byte, which a peer may have sent.
    fn add_os(&mut self, name: &OsStr, value: &OsStr) {
        self.0.extend(variable(name, value));
    }
}

impl Settings {
    /// Makes the variables of a connection. `number` is the number of connections of its source.
    pub(super) fn variables(&self, peer: &Peer, number: usize) -> Vec<CString> {
        let mut variables = Variables::default();
        let local = peer.local();
        match (peer.endpoint(), &local) {
            (Endpoint::Inet(remote), _) => {
                variables.add("PROTO", "TCP");
                if let Some(local) = local.socket_addr() {
                    variables.add("TCPLOCALIP", local.ip());
                    variables.add("TCPLOCALPORT", local.port());
                }
                variables.add("TCPREMOTEIP", remote.ip());
                variables.add("TCPREMOTEPORT", remote.port());
                variables.add("TCPCONNNUM", number);
                variables.add("REMOTE_ADDR", remote.ip());
                variables.add("REMOTE_PORT", remote.port());
            }
            (_, Endpoint::Unix(name)) => {
                variables.add("PROTO", "UNIX");
                variables.add_unix(peer, name);
            }
            _ => {}
        }
        #[cfg(feature = "tls")]
        if let Some(info) = peer.tls() {
            variables.add_tls(&info);
        }
        let hook = self.variables.as_ref();
        for (name, value) in hook.map_or_else(Vec::new, |variables| variables(peer)) {
            variables.remove(&name);
            variables.add_os(&name, &value);
        }
        variables.0
    }
}

impl Variables {
    fn add_unix(&mut self, peer: &Peer, local: &UnixName) {
        match local {
            UnixName::Path(path) => self.add_os("UNIXLOCALPATH".as_ref(), path.as_os_str()),
            UnixName::Abstract(name) => {
                let name = [b"@", &**name].concat();
                self.add_os("UNIXLOCALPATH".as_ref(), OsStr::from_bytes(&name));
            }
            UnixName::Unnamed => {}
        }
        if let Some(credentials) = peer.credentials() {
            self.add("UNIXREMOTEUID", credentials.uid);
            self.add("UNIXREMOTEGID", credentials.gid);
            if let Some(pid) = credentials.pid {
                self.add("UNIXREMOTEPID", pid);
            }
        }
    }

    #[cfg(feature = "tls")]
    fn add_tls(&mut self, info: &crate::tls::Info) {
        self.add("SSL_PROTOCOL", format_args!("TLSv{}", info.version()));
        self.add("SSL_CIPHER", info.cipher_suite());
        if let Some(name) = info.server_name() {
            self.add("SSL_TLS_SNI_SERVERNAME", name);
        }
        if let Some(alpn) = info.alpn() {
            self.add_os("SSL_ALPN".as_ref(), OsStr::from_bytes(alpn));
        }
        if let Some(certificate) = info.peer_certificate() {
            let hash = certificate.fingerprint();
            self.add("SSL_PEER_CERT_HASH", format_args!("sha256:{hash}"));
            if let Some(subject) = certificate.subject() {
                self.add("SSL_PEER_CERT_SUBJECT", subject);
            }
        }
    }
}
