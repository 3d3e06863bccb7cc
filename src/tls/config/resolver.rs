//! The choice of a server's certificate by the name that a client asks for, and a record of that
//! name.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::Pair;

thread_local! {
    /// The name in the last client hello that was processed on this thread.
    static SERVER_NAME: Cell<Option<Box<str>>> = const { Cell::new(None) };
}

/// Takes the server name (SNI) of the client hello that this thread has just processed, in lower
/// case. `None` if there was none.
///
/// The unbuffered connections of rustls do not have the name, but pass it to the resolver. The
/// resolver runs for each hello, also for that of a session that resumes, and for both if the first
/// is answered with a retry. It runs within the call that processes the hello, so the same thread
/// calls this function right after that call.
pub(crate) fn take_server_name() -> Option<Box<str>> {
    SERVER_NAME.take()
}

/// Records the server name, then asks another resolver.
#[derive(Debug)]
pub(super) struct Recorder(pub(super) Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for Recorder {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        SERVER_NAME.set(hello.server_name().map(Box::from));
        self.0.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }
}

/// Chooses a certificate by server name: the exact name, then a wildcard for its first label, then
/// the default.
#[derive(Debug)]
pub(super) struct ByName {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// By the name without `*.`.
    wildcards: HashMap<Box<str>, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

impl ByName {
    /// The first of the pairs is the default. A name in several pairs belongs to the first of
    /// them. `None` if there are no pairs.
    pub(super) fn new(pairs: &[Pair]) -> Option<Self> {
        let mut by_name = Self {
            exact: HashMap::new(),
            wildcards: HashMap::new(),
            default: Arc::clone(&pairs.first()?.key),
        };
        for Pair { key, names } in pairs {
            for name in names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut by_name.wildcards, rest),
                    None => (&mut by_name.exact, &**name),
                };
                names.entry(name.into()).or_insert_with(|| Arc::clone(key));
            }
        }
        Some(by_name)
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        self.exact.get(name).or_else(|| {
            let (_label, rest) = name.split_once('.')?;
            self.wildcards.get(rest)
        })
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = hello.server_name().and_then(|name| self.find(name));
        Some(Arc::clone(found.unwrap_or(&self.default)))
    }
}
