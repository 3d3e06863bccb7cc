//! `Connector`: the config of a TLS client.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use super::{ClientSettings, LoadError};

/// The client side of TLS: settings for any number of connections.
///
/// Clones are cheap. Clones share their sessions, so that a second connection to a server resumes.
///
/// # Examples
///
/// ```no_run
/// use halves::tls::{ClientSettings, Connector};
///
/// let public = Connector::new()?;
/// let private = ClientSettings::new().ca("internal-ca.pem").load()?;
/// # Ok::<(), halves::tls::LoadError>(())
/// ```
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl Connector {
    /// Makes a connector with the default settings: TLS 1.2 and 1.3, servers checked against the
    /// CAs of the system. [`ClientSettings`] has more.
    ///
    /// The first call in a process reads the CAs of the system. Blocks for tens of milliseconds.
    ///
    /// # Errors
    ///
    /// If the system has no CAs.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let connector = halves::tls::Connector::new()?;
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    pub fn new() -> Result<Self, LoadError> {
        ClientSettings::new().load()
    }

    pub(super) fn with_name(config: ClientConfig, name: Option<ServerName<'static>>) -> Self {
        Self {
            config: Arc::new(config),
            server_name: name,
        }
    }

    /// Returns the config of rustls.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::ClientSettings;
    ///
    /// let settings = ClientSettings::new().danger_no_verification();
    /// let connector = settings.alpn(["h2"]).load()?;
    /// assert_eq!(connector.config().alpn_protocols, [b"h2"]);
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// Returns the name set by [`ClientSettings::server_name`].
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::tls::ClientSettings;
    ///
    /// let connector = ClientSettings::new().danger_no_verification().load()?;
    /// assert_eq!(connector.server_name(), None);
    /// # Ok::<(), halves::tls::LoadError>(())
    /// ```
    #[must_use]
    pub fn server_name(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
    }
}

/// Takes a config that the program made.
impl From<Arc<ClientConfig>> for Connector {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self {
            config,
            server_name: None,
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut connector = f.debug_struct("Connector");
        connector.field("server_name", &self.server_name);
        connector.finish_non_exhaustive()
    }
}
