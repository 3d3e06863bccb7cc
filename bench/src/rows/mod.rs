//! The rows of the comparison: each is one load for every server in turn.

mod table;

use crate::runtime::Runtime;
use std::time::Duration;

pub use table::echo;
use table::{
    BLOCKED_COLUMNS, BROADCAST_COLUMNS, BULK_COLUMNS, BURST_COLUMNS, CLOSE_COLUMNS, ECHO_COLUMNS,
    GIGABYTE_COLUMNS, IDLE_COLUMNS, ROWS, SKEWED_COLUMNS, THREADS_COLUMNS,
};

/// One table of the report.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: &'static str,
    pub title: &'static str,
    pub load: Load,
    /// The most bytes of one read, for a server with such an option.
    pub buffer: usize,
    /// The number of server threads and of their cores.
    pub threads: usize,
    /// If true, the client may run on any core; otherwise it is pinned to the first.
    pub client_free: bool,
    /// If true, TCP_NODELAY can affect the row, so peers take part with and without it.
    pub nodelay_matters: bool,
    /// If true, the row compares TCP with Unix sockets, for servers with both.
    pub beside_unix: bool,
    /// The service that a server must have to take part.
    pub service: Service,
    /// The layer that its servers have; for `Proxy`, also the same servers without it.
    pub layer: Layer,
    /// The runtime, for a row that compares the library with a plain loop on another runtime.
    pub runtime: Option<Runtime>,
}

#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// Each connection sends a message, waits for the answer, and sends the next.
    Echo { connections: usize },
    /// One connection keeps a few large messages under way.
    Bulk,
    /// One connection after another: connect, one echo, close.
    Close,
    /// The same, with a handshake.
    Handshake { resumes: bool },
    /// Each connection has one echo and then stays idle.
    Idle { connections: usize },
    /// The same, and then a large echo on each.
    Burst { connections: usize },
    /// In each turn some clients send a frame each, and all clients receive these.
    Broadcast { clients: usize, under_way: usize },
    /// As `Echo`, but messages of every second connection make the handler compute.
    Skewed { connections: usize },
    /// The handler of one connection blocks its thread. Meanwhile the others send messages in turn,
    /// one at a time.
    Blocked { connections: usize },
}

/// The service of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The echo, with a to z changed to A to Z.
    Upper,
    /// The chat: frames that end with `\0` go to all clients.
    Chat,
    /// The relay of each connection to another server, which has the uppercase echo.
    Relay,
    /// The start of a child for each connection, which does the uppercase echo.
    Exec,
}

/// The layer between TCP and the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    None,
    /// TLS 1.3 with a P-256 certificate.
    Tls,
    /// The client begins with a PROXY header of version 2.
    Proxy,
}

/// One figure of a row.
#[derive(Debug)]
pub struct Column {
    pub title: &'static str,
    pub decimals: usize,
}

impl Row {
    /// Returns the columns of this row, in the order of the figures of `measure`.
    pub fn columns(&self) -> &'static [Column] {
        match self.load {
            Load::Echo { .. } if self.threads > 1 => &THREADS_COLUMNS,
            Load::Echo { .. } => &ECHO_COLUMNS,
            Load::Bulk if self.counts_gigabytes() => &GIGABYTE_COLUMNS,
            Load::Bulk => &BULK_COLUMNS,
            Load::Close | Load::Handshake { .. } => &CLOSE_COLUMNS,
            Load::Idle { .. } => &IDLE_COLUMNS,
            Load::Burst { .. } => &BURST_COLUMNS,
            Load::Broadcast { .. } => &BROADCAST_COLUMNS,
            Load::Skewed { .. } => &SKEWED_COLUMNS,
            Load::Blocked { .. } => &BLOCKED_COLUMNS,
        }
    }

    /// Returns the quantiles of the last columns, for a row of rates.
    pub fn quantiles(&self) -> &'static [f64] {
        match self.threads {
            1 => &[0.5, 0.99],
            _ => &[0.5, 0.99, 0.999],
        }
    }

    /// Returns true if messages request work, which only some servers do.
    pub fn has_work(&self) -> bool {
        matches!(self.load, Load::Skewed { .. } | Load::Blocked { .. })
    }

    /// Returns true if the CPU of a bulk row is given for a gigabyte, not for a message.
    pub fn counts_gigabytes(&self) -> bool {
        self.layer == Layer::Tls || self.service == Service::Relay
    }
}

/// Returns the rows with names that start with one of `names`, or all rows if `names` is empty.
pub fn select(names: &[String]) -> Result<Vec<Row>, String> {
    if names.is_empty() {
        return Ok(ROWS.to_vec());
    }
    let matches = |row: &Row, name: &String| row.name == name || row.name.starts_with(&name[..]);
    if let Some(unknown) = names
        .iter()
        .find(|name| !ROWS.iter().any(|row| matches(row, name)))
    {
        return Err(format!("there is no row called {unknown}"));
    }
    // An exact name selects that row only: `echo-50` is also the start of `echo-500`.
    let chosen = |row: &&Row| {
        names
            .iter()
            .any(|name| match ROWS.iter().any(|row| row.name == name) {
                true => row.name == name,
                false => matches(row, name),
            })
    };
    Ok(ROWS.iter().filter(chosen).copied().collect())
}

/// The size of a message on all rows but bulk.
pub const MESSAGE_BYTES: usize = 64;
/// The size of a message on the bulk rows.
pub const BULK_MESSAGE_BYTES: usize = 64 * 1024;
/// The time to compute on a heavy message of a skewed load.
pub const WORK_TIME: Duration = Duration::from_micros(200);
/// The time that a message of a blocked load blocks its thread.
pub const BLOCKED_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<&'static str> {
        let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
        select(&words).unwrap().iter().map(|row| row.name).collect()
    }

    #[test]
    fn the_start_of_a_name_selects_all_rows_with_it() {
        assert_eq!(names(&["bulk"]), ["bulk-1k", "bulk-64k"]);
        assert_eq!(names(&[]).len(), ROWS.len());
    }

    #[test]
    fn a_whole_name_selects_one_row() {
        assert_eq!(names(&["echo-50"]), ["echo-50"]);
        assert_eq!(names(&["close", "echo-1"]), ["echo-1", "close"]);
    }

    #[test]
    fn rows_of_several_threads_have_one_more_quantile() {
        for row in ROWS {
            if let Load::Echo { .. } = row.load {
                assert_eq!(row.columns().len(), 2 + row.quantiles().len());
            }
        }
    }

    #[test]
    fn an_unknown_row_is_an_error() {
        assert!(select(&["ehco".into()]).is_err());
    }
}
