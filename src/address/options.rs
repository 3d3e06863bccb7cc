//! How a TCP listener listens, and how its connections are set up.

use std::fmt;
use std::time::Duration;

/// How a TCP listener listens, and how its connections are set up.
///
/// | setting of an [`Address`](crate::Address) | method | default |
/// |---|---|---|
/// | `keepalive=30s` | [`keepalive`](Self::keepalive) | off |
/// | `backlog=128` | [`backlog`](Self::backlog) | 4,096 |
/// | `nagle` | [`nagle`](Self::nagle) | off |
/// | `reuse-port` | [`reuse_port`](Self::reuse_port) | off |
/// | `v6-only` | [`v6_only`](Self::v6_only) | off |
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
    /// The longest time that Linux takes, in seconds.
    pub(super) const MAX_KEEPALIVE: u16 = 32_767;
    /// The largest number that `listen`(2) takes.
    pub(super) const MAX_BACKLOG: u32 = i32::MAX.unsigned_abs();
    /// Past 128, the number of `std`, each further TCP client retries after a second.
    const BACKLOG: u32 = 4096;

    /// The kernel probes a peer that has sent nothing for this long, again after each further such time, and
    /// ends the connection with `ETIMEDOUT` when three probes are not answered.
    ///
    /// Rounded up to whole seconds, at most 32,767; zero is off, the default.
    ///
    /// # Examples
    ///
    /// See [`ListenOptions`].
    #[must_use]
    pub fn keepalive(mut self, idle: Duration) -> Self {
        let seconds = idle
            .as_secs()
            .saturating_add(u64::from(idle.subsec_nanos() > 0));
        let seconds = u16::try_from(seconds).unwrap_or(u16::MAX);
        self.keepalive = seconds.min(Self::MAX_KEEPALIVE);
        self
    }

    /// How many connections the kernel completes and keeps until they are accepted: from 1 to
    /// 2,147,483,647, 4,096 by default. The kernel has a limit of its own, `net.core.somaxconn` on Linux.
    ///
    /// # Examples
    ///
    /// ```
    /// let options = halves::address::ListenOptions::default().backlog(128);
    /// assert_eq!(options.to_string(), ",backlog=128");
    /// ```
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections.clamp(1, Self::MAX_BACKLOG);
        self
    }

    /// Leaves Nagle's algorithm on: a small write waits until earlier ones are acknowledged. Off by
    /// default: connections have `TCP_NODELAY`.
    ///
    /// # Examples
    ///
    /// See [`ListenOptions`].
    #[must_use]
    pub fn nagle(mut self, on: bool) -> Self {
        self.nagle = on;
        self
    }

    /// Other sockets of this user that set `SO_REUSEPORT` may listen on the same address; the kernel
    /// deals connections out among them. Off by default.
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

    /// `[::]` takes IPv6 only, so that `0.0.0.0` with the same port can be listened on beside it. Off by
    /// default. Other IPv6 addresses take IPv6 only in any case.
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
            backlog: Self::BACKLOG,
            nagle: false,
            reuse_port: false,
            v6_only: false,
        }
    }
}

/// As settings in an address: each that is not the default, after a comma.
impl fmt::Display for ListenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.keepalive > 0 {
            write!(f, ",keepalive={}s", self.keepalive)?;
        }
        if self.backlog != Self::BACKLOG {
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
    fn what_is_out_of_bounds_is_brought_within_them() {
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
