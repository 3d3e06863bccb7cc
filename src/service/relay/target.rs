//! A target of a relay, and its state.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::health::TargetHealth;
use crate::address::Address;
use crate::connect::ConnectOptions;
use crate::error::Error;
use crate::proxy_protocol::Version;

/// An address that a [`Relay`](super::Relay) connects to, with the settings of these connections.
///
/// # Examples
///
/// ```
/// use halves::proxy_protocol::Version;
/// use halves::service::Target;
///
/// let target = Target::new("192.0.2.7:80")?.send_proxy(Version::V2);
/// # drop(target);
/// # Ok::<(), halves::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Target {
    pub(super) address: Address,
    pub(super) options: ConnectOptions,
    pub(super) send_proxy: Option<Version>,
    pub(super) truncated_resets: bool,
}

impl Target {
    /// Makes a target from its address.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] if the text is not an address.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::service::Target;
    ///
    /// assert!(Target::new("/run/x.sock").is_ok());
    /// assert!(Target::new("192.0.2.7").is_err());
    /// ```
    pub fn new<A>(address: A) -> Result<Self, Error>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        Ok(Self {
            address: address.try_into()?,
            options: ConnectOptions::new(),
            send_proxy: None,
            truncated_resets: false,
        })
    }

    /// Sets the source address, the TLS and the PROXY header of the connections. The relay sets
    /// timeout and clock.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::ConnectOptions;
    /// use halves::service::Target;
    ///
    /// let options = ConnectOptions::new().source(([127, 0, 0, 2], 0));
    /// let target = Target::new("127.0.0.1:80")?.options(options);
    /// # drop(target);
    /// # Ok::<(), halves::Error>(())
    /// ```
    #[must_use]
    pub fn options(mut self, options: ConnectOptions) -> Self {
        self.options = options;
        self
    }

    /// Sends a PROXY header with the address of the client in front of each connection.
    ///
    /// Version 2 passes on TCP and Unix clients, version 1 TCP clients only. The header of any other
    /// client has no address.
    ///
    /// # Examples
    ///
    /// See [`Target`].
    #[must_use]
    pub fn send_proxy(mut self, version: Version) -> Self {
        self.send_proxy = Some(version);
        self
    }

    /// Resets the client if TLS from this target ends without `close_notify`. By default the client
    /// receives the bytes and an end.
    ///
    /// # Examples
    ///
    /// ```
    /// let target = halves::service::Target::new("127.0.0.1:80")?.truncated_resets();
    /// # drop(target);
    /// # Ok::<(), halves::Error>(())
    /// ```
    #[must_use]
    pub fn truncated_resets(mut self) -> Self {
        self.truncated_resets = true;
        self
    }
}

impl From<Address> for Target {
    fn from(address: Address) -> Self {
        Self {
            address,
            options: ConnectOptions::new(),
            send_proxy: None,
            truncated_resets: false,
        }
    }
}

/// A target, and what the relays of all connections know about it.
pub(super) struct TargetState {
    pub(super) target: Target,
    /// The number of relays that are connected, or connecting.
    open: AtomicUsize,
    pub(super) health: TargetHealth,
}

impl TargetState {
    pub(super) fn new(target: Target) -> Arc<Self> {
        Arc::new(Self {
            target,
            open: AtomicUsize::new(0),
            health: TargetHealth::default(),
        })
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// The place of one relay at its target.
pub(super) struct Place(Arc<TargetState>);

impl Place {
    pub(super) fn of(state: &Arc<TargetState>) -> Self {
        state.open.fetch_add(1, Ordering::Relaxed);
        Self(state.clone())
    }

    pub(super) fn target(&self) -> &TargetState {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
