//! `ConnectTimings`: the time of each step of a connect.

use std::time::Duration;

/// The time that each step of [`ConnectOptions::connect_timed`] has taken. None if the step has not
/// ended, or was not needed.
///
/// [`ConnectOptions::connect_timed`]: crate::ConnectOptions::connect_timed
///
/// # Examples
///
/// ```
/// assert_eq!(halves::ConnectTimings::default().name, None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectTimings {
    /// The name lookup; None for an address without a name.
    pub name: Option<Duration>,
    /// The connection, with the attempts at addresses that have failed.
    pub connect: Option<Duration>,
    /// The PROXY header and the TLS handshake; None without TLS.
    pub tls: Option<Duration>,
}
