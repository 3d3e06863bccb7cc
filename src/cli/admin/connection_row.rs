//! `ConnectionRow`: an open connection as a JSON object, for the control socket and for pages.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use halves::Handle;
use halves::server::ConnectionInfo;
use serde::{Deserialize, Serialize};

/// An open connection. Rates are bytes a second.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(in crate::cli) struct ConnectionRow {
    pub(in crate::cli) id: u64,
    pub(in crate::cli) peer: String,
    pub(in crate::cli) local: String,
    /// The index of the listener.
    pub(in crate::cli) listener: usize,
    /// handshake, open or closing.
    pub(in crate::cli) phase: String,
    pub(in crate::cli) age_ms: u64,
    pub(in crate::cli) idle_ms: u64,
    #[serde(rename = "in")]
    pub(in crate::cli) bytes_in: u64,
    #[serde(rename = "out")]
    pub(in crate::cli) bytes_out: u64,
    pub(in crate::cli) in_rate: u64,
    pub(in crate::cli) out_rate: u64,
    /// read, write, timer or other.
    pub(in crate::cli) waits: String,
    pub(in crate::cli) waiting_ms: u64,
    /// Bytes written and not acknowledged. None if the stream does not count them.
    pub(in crate::cli) unsent: Option<usize>,
    /// The reason with which the connection ends at its next deadline.
    pub(in crate::cli) deadline: Option<String>,
    pub(in crate::cli) deadline_ms: Option<u64>,
}

/// The bytes of each connection at the last look, from which rates are computed. The rates of a
/// first look are those since the accept.
#[derive(Default)]
pub(in crate::cli) struct Rates {
    last: Option<Instant>,
    bytes: HashMap<u64, (u64, u64)>,
}

impl Rates {
    /// Returns all open connections, in the order in which they were accepted.
    pub(in crate::cli) fn connections(
        &mut self,
        handle: &Handle,
        now: Instant,
    ) -> impl Iterator<Item = ConnectionRow> + use<> {
        let passed = self.last.map(|last| now.saturating_duration_since(last));
        let mut infos = handle.connections();
        infos.sort_unstable_by_key(|info| info.id);
        let bytes = infos
            .iter()
            .map(|info| (info.id, (info.bytes_in, info.bytes_out)));
        let before = std::mem::replace(&mut self.bytes, bytes.collect());
        self.last = Some(now);
        infos.into_iter().map(move |info| {
            let (since, bytes_in, bytes_out) = match (passed, before.get(&info.id)) {
                (Some(passed), Some(&(bytes_in, bytes_out))) => (passed, bytes_in, bytes_out),
                _ => (info.age, 0, 0),
            };
            let in_rate = rate(info.bytes_in.saturating_sub(bytes_in), since);
            let out_rate = rate(info.bytes_out.saturating_sub(bytes_out), since);
            ConnectionRow {
                in_rate,
                out_rate,
                ..ConnectionRow::from(&info)
            }
        })
    }
}

impl From<&ConnectionInfo> for ConnectionRow {
    /// The rates are those since the accept.
    fn from(info: &ConnectionInfo) -> Self {
        Self {
            id: info.id,
            peer: info.peer.to_string(),
            local: info.local.to_string(),
            listener: info.listener,
            phase: info.phase.to_string(),
            age_ms: millis(info.age),
            idle_ms: millis(info.idle),
            bytes_in: info.bytes_in,
            bytes_out: info.bytes_out,
            in_rate: rate(info.bytes_in, info.age),
            out_rate: rate(info.bytes_out, info.age),
            waits: info.waits.to_string(),
            waiting_ms: millis(info.waiting),
            unsent: info.unsent,
            deadline: info.deadline.map(|deadline| deadline.reason.to_string()),
            deadline_ms: info.deadline.map(|deadline| millis(deadline.left)),
        }
    }
}

/// Returns bytes a second, rounded down. 0 for no time.
fn rate(bytes: u64, time: Duration) -> u64 {
    let nanos = time.as_nanos();
    let scaled = u128::from(bytes) * Duration::from_secs(1).as_nanos();
    let rate = scaled.checked_div(nanos).unwrap_or_default();
    u64::try_from(rate).unwrap_or(u64::MAX)
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_bytes_a_second() {
        for (bytes, millis, expected) in [
            (0, 0, 0),
            (7, 0, 0),
            (1000, 1000, 1000),
            (1000, 500, 2000),
            (1, 3000, 0),
            (u64::MAX, 1, u64::MAX),
        ] {
            assert_eq!(rate(bytes, Duration::from_millis(millis)), expected);
        }
    }
}
