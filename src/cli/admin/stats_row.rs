//! `StatsRow`: the statistics of a server as a JSON object, for the control socket and for pages.

use std::collections::BTreeMap;
use std::process;
use std::time::Instant;

use halves::{Handle, Reason};
use serde::{Deserialize, Serialize};

use super::AdminContext;
use super::connection_row::millis;

/// The statistics of a server. All counts but `open` are since its start.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(in crate::cli) struct StatsRow {
    pub(in crate::cli) service: String,
    pub(in crate::cli) version: String,
    pub(in crate::cli) pid: u32,
    pub(in crate::cli) uptime_ms: u64,
    /// starting, serving or draining.
    pub(in crate::cli) phase: String,
    pub(in crate::cli) open: u64,
    pub(in crate::cli) accepted: u64,
    /// By reason, without those that did not occur.
    pub(in crate::cli) ended: BTreeMap<String, u64>,
    #[serde(rename = "in")]
    pub(in crate::cli) bytes_in: u64,
    #[serde(rename = "out")]
    pub(in crate::cli) bytes_out: u64,
    /// Bytes that connections had not sent when they ended.
    pub(in crate::cli) unsent: u64,
    pub(in crate::cli) accept_errors: u64,
    pub(in crate::cli) limit_episodes: u64,
    pub(in crate::cli) listeners: Vec<ListenerRow>,
}

/// The statistics of a listener.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(in crate::cli) struct ListenerRow {
    pub(in crate::cli) local: String,
    pub(in crate::cli) open: u64,
    pub(in crate::cli) accepted: u64,
    #[serde(rename = "in")]
    pub(in crate::cli) bytes_in: u64,
    #[serde(rename = "out")]
    pub(in crate::cli) bytes_out: u64,
}

impl StatsRow {
    pub(in crate::cli) fn new(context: &AdminContext, now: Instant) -> Self {
        let handle = &context.orders.handle;
        let stats = handle.stats();
        let ended = Reason::ALL.iter().filter_map(|&reason| {
            let count = stats.ended[reason];
            (count > 0).then(|| (reason.to_string(), count))
        });
        Self {
            service: context.service.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: process::id(),
            uptime_ms: millis(now.saturating_duration_since(context.started)),
            phase: context.phase().to_owned(),
            open: stats.open,
            accepted: stats.accepted,
            ended: ended.collect(),
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
            unsent: stats.bytes_unsent,
            accept_errors: stats.accept_errors,
            limit_episodes: stats.limit_episodes,
            listeners: listeners(handle),
        }
    }
}

fn listeners(handle: &Handle) -> Vec<ListenerRow> {
    let listeners = handle.listeners().into_iter();
    let rows = listeners.map(|listener| ListenerRow {
        local: listener.local.to_string(),
        open: listener.open,
        accepted: listener.accepted,
        bytes_in: listener.bytes_in,
        bytes_out: listener.bytes_out,
    });
    rows.collect()
}
