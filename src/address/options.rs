//! `ListenOptions`: options of a TCP listener and its connections.

use std::fmt;
use std::time::Duration;

/// Options of a TCP listener and its connections.
///
/// In the text of an [`Address`](crate::Address) each is a setting with the name of its method:
/// `keepalive=30s`, `backlog=128`, `nagle`, `reuse-port`, `v6-only`. The methods have the defaults.
///
/// # Examples
///
/// ```
/// use halves::Address;
/// use halves::address::ListenOptions;
/// use std::time::Duration;
///
/// let options = ListenOptions::default().keepalive(Duration::from_secs(30)).nagle(true);
/// let address = Address::Tcp { host: "127.0.0.1".into(), port: 50007, options };
/// assert_eq!(address.to_string(), "127.0.0.1:50007,keepalive=30s,nagle");
/// assert_eq!("50007,nagle,keepalive=30".parse::<Address>()?, address);
/// # Ok::<(), halves::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListenOptions {
    /// In seconds; 0 is off.
    pub(crate) keepalive: u16,
    pub(crate) backlog: u32,
    pub(crate) nagle: bool,
    pub(crate) reuse_port: bool,
    pub(crate) v6_only: bool,
}

impl ListenOptions {
    /// The longest keepalive time of Linux.
    pub(super) const MAX_KEEPALIVE_SECONDS: u16 = 32_767;
    /// The largest argument of `listen`(2).
    pub(super) const MAX_BACKLOG_CONNECTIONS: u32 = i32::MAX.unsigned_abs();
    /// With a backlog of 128, as in `std`, each TCP client beyond that retries after a second.
    const DEFAULT_BACKLOG_CONNECTIONS: u32 = 4096;

    /// Sets the keepalive time. The kernel probes a peer that has sent nothing for this time, then
    /// again after each such time, and ends the connection with `ETIMEDOUT` after three unanswered
    /// probes.
    ///
    /// Rounded up to whole seconds, at most 32,767; zero means off, the default.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let options = halves::address::ListenOptions::default();
    /// assert_eq!(options.keepalive(Duration::from_secs(30)).to_string(), ",keepalive=30s");
    /// ```
    #[must_use]
    pub fn keepalive(mut self, idle: Duration) -> Self {
        let seconds = idle
            .as_secs()
            .saturating_add(u64::from(idle.subsec_nanos() > 0));
        let seconds = u16::try_from(seconds).unwrap_or(u16::MAX);
        self.keepalive = seconds.min(Self::MAX_KEEPALIVE_SECONDS);
        self
    }

    /// Sets how many connections the kernel completes and keeps until they are accepted: from 1 to
    /// 2,147,483,647, by default 4,096. The kernel has its own limit, `net.core.somaxconn` on
    /// Linux.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = halves::address::ListenOptions::default().backlog(128);
    /// assert_eq!(options.to_string(), ",backlog=128");
    /// ```
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections.clamp(1, Self::MAX_BACKLOG_CONNECTIONS);
        self
    }

    /// Enables Nagle's algorithm: a small write waits until earlier writes are acknowledged. Off by
    /// default: connections have `TCP_NODELAY` set.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = halves::address::ListenOptions::default().nagle(true);
    /// assert_eq!(options.to_string(), ",nagle");
    /// ```
    #[must_use]
    pub fn nagle(mut self, on: bool) -> Self {
        self.nagle = on;
        self
    }

    /// Lets other sockets of this user that set `SO_REUSEPORT` listen on the same address. The
    /// kernel distributes connections among them. Off by default.
    ///
    /// # Examples
    ///
    /// ```
    /// # smol::block_on(async {
    /// let first = halves::bind("127.0.0.1:0,reuse-port").await?;
    /// let second = halves::bind(format!("{},reuse-port", first.local_addrs()[0])).await?;
    /// assert_eq!(first.local_addrs(), second.local_addrs());
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn reuse_port(mut self, on: bool) -> Self {
        self.reuse_port = on;
        self
    }

    /// Restricts `[::]` to IPv6, so that another socket can listen on `0.0.0.0` with the same port.
    /// Off by default. Other IPv6 addresses accept only IPv6 in any case.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = halves::address::ListenOptions::default().v6_only(true);
    /// assert_eq!(options.to_string(), ",v6-only");
    /// ```
    #[must_use]
    pub fn v6_only(mut self, on: bool) -> Self {
        self.v6_only = on;
        self
    }
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            keepalive: 0,
            backlog: Self::DEFAULT_BACKLOG_CONNECTIONS,
            nagle: false,
            reuse_port: false,
            v6_only: false,
        }
    }
}

/// Prints the settings that are not the default as in an address, each after a comma.
impl fmt::Display for ListenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.keepalive > 0 {
            write!(f, ",keepalive={}s", self.keepalive)?;
        }
        if self.backlog != Self::DEFAULT_BACKLOG_CONNECTIONS {
            write!(f, ",backlog={}", self.backlog)?;
        }
        for (on, name) in [
            (self.nagle, ",nagle"),
            (self.reuse_port, ",reuse-port"),
            (self.v6_only, ",v6-only"),
        ] {
            if on {
                f.write_str(name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_bounds_are_clamped() {
        let keepalive = |idle| ListenOptions::default().keepalive(idle).to_string();
        assert_eq!(keepalive(Duration::ZERO), "");
        assert_eq!(keepalive(Duration::from_nanos(1)), ",keepalive=1s");
        assert_eq!(keepalive(Duration::from_millis(1500)), ",keepalive=2s");
        assert_eq!(keepalive(Duration::MAX), ",keepalive=32767s");
        let backlog = |n| ListenOptions::default().backlog(n).to_string();
        assert_eq!(backlog(0), ",backlog=1");
        assert_eq!(backlog(4096), "");
        assert_eq!(backlog(u32::MAX), ",backlog=2147483647");
    }
}
