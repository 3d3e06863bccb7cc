//! `/connections`: the open connections as a JSON array, bounded and in an order of choice.

use std::cmp::Reverse;

use halves::Handle;
use halves::server::ConnectionInfo;

use super::http::{Response, Status};
use super::json;
use crate::cli::admin::ConnectionRow;

/// The number of rows without `limit`.
const DEFAULT_ROWS: usize = 1_000;
/// The most rows that `limit` can ask for. They take about 3 MB.
const MAX_ROWS: usize = 10_000;

/// The orders of rows, by the name that `sort` gives. `id` has the lowest first, others the highest.
/// The oldest connection has the lowest number; ages are read one after another, so those of
/// connections that were accepted together are not in their order.
const ORDERS: &[(&str, Order)] = &[
    ("id", oldest),
    ("age", oldest),
    ("bytes", |info| {
        highest(info.bytes_in.saturating_add(info.bytes_out), info)
    }),
    ("in", |info| highest(info.bytes_in, info)),
    ("out", |info| highest(info.bytes_out, info)),
    ("idle", |info| highest(info.idle.as_nanos(), info)),
    ("unsent", |info| {
        highest(info.unsent.unwrap_or(0) as u128, info)
    }),
];

/// Returns the key by which connections are sorted.
type Order = fn(&ConnectionInfo) -> (Reverse<u128>, u64);

/// The values of a query such as `limit=200&sort=bytes`.
struct Query {
    limit: usize,
    order: Order,
}

/// Returns the rows that a query asks for.
pub(super) fn response(handle: &Handle, query: &str) -> Response {
    match Query::parse(query) {
        Ok(query) => json(&query.rows(handle.connections())),
        Err(problem) => Response::error(Status::BAD_REQUEST, &problem),
    }
}

impl Query {
    /// Parses a query. Other names are ignored.
    fn parse(text: &str) -> Result<Self, String> {
        let mut query = Self {
            limit: DEFAULT_ROWS,
            order: ORDERS[0].1,
        };
        for pair in text.split('&') {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("limit", value) => query.limit = limit(value)?,
                ("sort", value) => query.order = order(value)?,
                _ => {}
            }
        }
        Ok(query)
    }

    /// Makes rows of the first connections only: most of the time goes into their texts.
    fn rows(&self, mut connections: Vec<ConnectionInfo>) -> Vec<ConnectionRow> {
        connections.sort_unstable_by_key(self.order);
        let first = connections.iter().take(self.limit);
        first.map(ConnectionRow::from).collect()
    }
}

/// The key of the order in which the connections were accepted.
fn oldest(info: &ConnectionInfo) -> (Reverse<u128>, u64) {
    (Reverse(0), info.id)
}

/// The key of an order with the highest value first. Equal values are in the order of `id`.
fn highest(value: impl Into<u128>, info: &ConnectionInfo) -> (Reverse<u128>, u64) {
    (Reverse(value.into()), info.id)
}

fn limit(value: &str) -> Result<usize, String> {
    let limit = value.parse().ok().filter(|limit| *limit <= MAX_ROWS);
    limit.ok_or_else(|| format!("limit: expected a number up to {MAX_ROWS}"))
}

fn order(value: &str) -> Result<Order, String> {
    let named = ORDERS.iter().find(|(name, _)| *name == value);
    named.map(|(_, order)| *order).ok_or_else(|| {
        let names: Vec<_> = ORDERS.iter().map(|(name, _)| *name).collect();
        format!("sort: expected one of {}", names.join(", "))
    })
}
