//! `Acceptor`: the config of a TLS server, which can be reloaded.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::sync::{Mutex, MutexGuard, PoisonError};

use super::resolver::Recorder;
use super::{LoadError, ServerSettings};

/// The server side of TLS: certificates and settings for any number of connections.
///
/// Clones are cheap, and a [`reload`](Self::reload) of one applies to all.
///
/// # Examples
///
/// ```no_run
/// use halves::tls::Acceptor;
///
/// let acceptor = Acceptor::from_files("cert.pem", "key.pem")?;
/// // Later, after the files were renewed:
/// acceptor.reload()?;
/// # Ok::<(), halves::tls::LoadError>(())
/// ```
#[derive(Clone)]
pub struct Acceptor(Arc<Shared>);

struct Shared {
    /// `None` if a program made the config.
    settings: Option<ServerSettings>,
    /// The config for the next handshake. Connections keep the one that they began with.
    config: Mutex<Arc<ServerConfig>>,
    /// Held during a reload, so that the last reload to begin is also the last to apply.
    reloading: Mutex<()>,
}

impl Acceptor {
    /// Makes an acceptor with one certificate and the default settings: TLS 1.2 and 1.3, no ALPN,
    /// no certificates of clients. [`ServerSettings`] has more.
    ///
    /// # Errors
    ///
    /// See [`ServerSettings::load`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let acceptor = halves::tls::Acceptor::from_files("cert.pem", "key.pem")?;
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn from_files(
        chain: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, LoadError> {
        ServerSettings::new().certificate(chain, key).load()
    }

    pub(super) fn load(settings: ServerSettings) -> Result<Self, LoadError> {
        let config = settings.config(None)?;
        Ok(Self::new(Some(settings), config))
    }

    fn new(settings: Option<ServerSettings>, config: ServerConfig) -> Self {
        Self(Arc::new(Shared {
            settings,
            config: Mutex::new(Arc::new(config)),
            reloading: Mutex::new(()),
        }))
    }

    /// Reads all files again. Blocks: not for a task of an executor.
    ///
    /// After an error everything is as before, even if other files have changed. Connections in
    /// progress keep their sessions. Clients can resume older sessions, unless certificates of
    /// clients are asked for. An acceptor made from a [`rustls::ServerConfig`] has no files, and
    /// stays as it is.
    ///
    /// # Errors
    ///
    /// See [`ServerSettings::load`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let acceptor = halves::tls::Acceptor::from_files("cert.pem", "key.pem")?;
    /// if let Err(error) = acceptor.reload() {
    ///     eprintln!("the old certificate stays: {error}");
    /// }
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn reload(&self) -> Result<(), LoadError> {
        let Some(settings) = &self.0.settings else {
            return Ok(());
        };
        let _reloading = lock(&self.0.reloading);
        // A session that resumes brings the certificate of its client along in the ticket, and it
        // is not checked again. A CA that the new file does not have would be trusted until the
        // ticket expires. With a new ticketer, each client is checked once more.
        let ticketer = (!settings.asks_for_certificates()).then(|| self.config().ticketer.clone());
        let config = settings.config(ticketer)?;
        *lock(&self.0.config) = Arc::new(config);
        Ok(())
    }

    /// Returns the config for the next handshake.
    ///
    /// # Examples
    ///
    /// ```
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    /// # let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// # let settings = halves::tls::ServerSettings::new().certificate_pem(chain, key);
    /// let acceptor = settings.alpn(["h2"]).load()?;
    /// assert_eq!(acceptor.config().alpn_protocols, [b"h2"]);
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&lock(&self.0.config))
    }
}

/// Takes a config that the program made.
///
/// Two of its settings are turned off, because a handler begins after the handshake: early data,
/// and data before the client has finished.
impl From<Arc<ServerConfig>> for Acceptor {
    fn from(config: Arc<ServerConfig>) -> Self {
        let mut config = Arc::unwrap_or_clone(config);
        config.cert_resolver = Arc::new(Recorder(config.cert_resolver));
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        Self::new(None, config)
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut acceptor = f.debug_struct("Acceptor");
        acceptor.field("settings", &self.0.settings);
        acceptor.finish_non_exhaustive()
    }
}

/// Neither lock is held while code runs that may panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
