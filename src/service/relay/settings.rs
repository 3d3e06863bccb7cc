//! `Relay`: the service, its targets and its settings.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};

#[cfg(target_os = "linux")]
use super::handover::Handover;
use super::serving::RelayServing;
use super::target::{Target, TargetState};
#[cfg(target_os = "linux")]
use crate::address::Address;
use crate::connection::Connection;
use crate::service::Service;

/// The default of [`Relay::connect_timeout`].
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Relays each connection to one of several targets, as [`relay`](super::relay) does.
///
/// # Targets
///
/// A connection gets a target by the [`balance`](Self::balance). If that does not take a connection
/// within the [`connect_timeout`](Self::connect_timeout), the others are tried in order. If none is
/// left, the client is reset with the reason [`Refused`](crate::Reason::Refused), and the error has
/// the problem of each target.
///
/// A target that fails is left out for 1 second. After that, it is probed beside the next
/// connection, and used again if it passes its [`health`](Self::health) check. If the connection ends
/// first, the next one goes on with the probe. The time doubles with each probe that fails, up to 30
/// seconds. Targets that are left out are tried when no other is
/// left. A failure of this machine, such as too few descriptors, is no failure of the target.
///
/// While it connects, the relay reads at most 64 KiB from the client. A reset of the client cancels
/// the connect. Deadlines and times are those of the server's clock.
///
/// # Examples
///
/// ```no_run
/// use halves::service::{Relay, Target};
/// use halves::{Executor, bind, serve};
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let ex = Executor::new();
///     let relay = Relay::to(Target::new("10.0.0.1:80")?).and(Target::new("10.0.0.2:80")?);
///     ex.block_on(async {
///         serve(&ex, bind("127.0.0.1:8080").await?, move |c| relay.serve(c)).await
///     })?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Relay(Arc<Settings>);

#[derive(Clone)]
pub(super) struct Settings {
    /// At least one.
    pub(super) targets: Vec<Arc<TargetState>>,
    pub(super) balance: Balance,
    pub(super) health: Health,
    pub(super) connect_timeout: Duration,
    /// Knows the relays, so that they can move to another process.
    #[cfg(target_os = "linux")]
    pub(super) handover: Option<Handover>,
    /// The number of connections so far.
    count: Arc<AtomicUsize>,
}

/// The choice of a target for a connection.
///
/// # Examples
///
/// ```
/// assert_eq!(halves::service::Balance::default().to_string(), "round-robin");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Balance {
    /// Each target in turn.
    #[default]
    RoundRobin,
    /// The target with the fewest open relays. Targets with as many take turns.
    Least,
}

/// The check of a target that was left out.
///
/// # Examples
///
/// ```
/// assert_eq!(halves::service::Health::default().to_string(), "tcp");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// The target takes a connection. With TLS, the handshake succeeds.
    #[default]
    Tcp,
    /// The target also sends a line within the connect timeout, as servers of SMTP, SSH and FTP do.
    Line,
}

impl Relay {
    /// Makes a relay to a target.
    ///
    /// # Examples
    ///
    /// See [`Relay`].
    #[must_use]
    pub fn to(target: impl Into<Target>) -> Self {
        Self(Arc::new(Settings {
            targets: vec![TargetState::new(target.into())],
            balance: Balance::default(),
            health: Health::default(),
            connect_timeout: CONNECT_TIMEOUT,
            #[cfg(target_os = "linux")]
            handover: None,
            count: Arc::default(),
        }))
    }

    /// Adds a target.
    ///
    /// # Examples
    ///
    /// See [`Relay`].
    #[must_use]
    pub fn and(mut self, target: impl Into<Target>) -> Self {
        let state = TargetState::new(target.into());
        self.change().targets.push(state);
        self
    }

    /// Sets the choice of a target. The default is round robin.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::service::{Balance, Relay, Target};
    ///
    /// let relay = Relay::to(Target::new("127.0.0.1:80")?).balance(Balance::Least);
    /// # drop(relay);
    /// # Ok::<(), halves::Error>(())
    /// ```
    #[must_use]
    pub fn balance(mut self, balance: Balance) -> Self {
        self.change().balance = balance;
        self
    }

    /// Sets the check of a target that was left out. The default is [`Health::Tcp`].
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::service::{Health, Relay, Target};
    ///
    /// let relay = Relay::to(Target::new("127.0.0.1:25")?).health(Health::Line);
    /// # drop(relay);
    /// # Ok::<(), halves::Error>(())
    /// ```
    #[must_use]
    pub fn health(mut self, health: Health) -> Self {
        self.change().health = health;
        self
    }

    /// Sets the time for a connection to one target, with the name lookup and the TLS handshake. The
    /// default is 5 seconds, and zero is no limit.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::service::{Relay, Target};
    /// use std::time::Duration;
    ///
    /// let relay = Relay::to(Target::new("127.0.0.1:80")?).connect_timeout(Duration::from_secs(1));
    /// # drop(relay);
    /// # Ok::<(), halves::Error>(())
    /// ```
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.change().connect_timeout = timeout;
        self
    }

    /// Lets the relays move to another process: see [`Handover`]. Without this call they stay.
    ///
    /// # Examples
    ///
    /// See [`Handover`].
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn handover(mut self, handover: &Handover) -> Self {
        self.change().handover = Some(handover.clone());
        self
    }

    /// Serves one connection.
    ///
    /// # Errors
    ///
    /// Those of [`relay`](super::relay), and that of the last target if none takes a connection.
    ///
    /// # Examples
    ///
    /// See [`Relay`].
    pub fn serve<R, W>(
        &self,
        client: Connection<R, W>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static + use<R, W>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        RelayServing::new(client, &self.0)
    }

    fn change(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.0)
    }
}

impl Settings {
    /// Returns the state of the target with this address. One that is no target any more gets a state of
    /// its own.
    #[cfg(target_os = "linux")]
    pub(super) fn state_of(&self, address: Address) -> Arc<TargetState> {
        let text = address.to_string();
        let mut targets = self.targets.iter();
        let known = targets.find(|state| state.target.address.to_string() == text);
        known.map_or_else(|| TargetState::new(address.into()), Arc::clone)
    }

    /// Returns the targets in the order in which a new connection tries them. Those that are left
    /// out are last.
    pub(super) fn order(&self) -> Vec<Arc<TargetState>> {
        let turn = self.count.fetch_add(1, Ordering::Relaxed);
        let (mut usable, left_out): (Vec<_>, Vec<_>) = self
            .targets
            .iter()
            .cloned()
            .partition(|state| !state.health.is_left_out());
        if !usable.is_empty() {
            let first = turn % usable.len();
            usable.rotate_left(first);
        }
        if self.balance == Balance::Least {
            // Stable, so that equal ones take turns.
            usable.sort_by_key(|state| state.open());
        }
        usable.extend(left_out);
        usable
    }
}

impl Service for Relay {
    fn serve<R, W>(
        self,
        connection: Connection<R, W>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        Self::serve(&self, connection)
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RoundRobin => "round-robin",
            Self::Least => "least",
        })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Line => "line",
        })
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let targets = self.0.targets.iter().map(|state| &state.target.address);
        f.debug_struct("Relay")
            .field("targets", &targets.collect::<Vec<_>>())
            .field("balance", &self.0.balance)
            .finish_non_exhaustive()
    }
}
