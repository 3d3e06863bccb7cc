//! What is measured: each row is one load, put on every server in turn.

use crate::runtime::Runtime;

/// One table of the report.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: &'static str,
    pub title: &'static str,
    pub load: Load,
    /// Bytes a server reads at a time, where it can be told.
    pub buffer: usize,
    /// Server threads, each with its own core; the client stays on the first one.
    pub threads: usize,
    /// Whether TCP_NODELAY may matter, so that peers take part once with it and once without.
    pub nodelay_matters: bool,
    /// Whether it compares TCP with Unix sockets, of the servers that have both.
    pub beside_unix: bool,
    /// Whether it compares the library with a loop of the runtime's own kind, both on that runtime.
    pub runtime: Option<Runtime>,
}

#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// Each connection sends a message, waits for the answer, sends the next.
    Echo { connections: usize },
    /// One connection keeps a few large messages under way.
    Bulk,
    /// Connects, has one message echoed, closes, one connection after another.
    Close,
    /// Each connection has one message echoed and then stays quiet.
    Idle { connections: usize },
    /// Some clients say a frame each, and all hear them, before the next ones are said.
    Broadcast { clients: usize, under_way: usize },
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Echoes, with a to z made A to Z.
    Upper,
    /// Frames, up to a `\0` each, go to everyone.
    Chat,
}

/// One figure of a row.
#[derive(Debug)]
pub struct Column {
    pub title: &'static str,
    pub decimals: usize,
}

impl Load {
    /// The figures this load gives, in the order in which `measure` returns them.
    pub fn columns(&self) -> &'static [Column] {
        match self {
            Load::Echo { .. } => &ECHO_COLUMNS,
            Load::Bulk => &BULK_COLUMNS,
            Load::Close => &CLOSE_COLUMNS,
            Load::Idle { .. } => &IDLE_COLUMNS,
            Load::Broadcast { .. } => &BROADCAST_COLUMNS,
        }
    }
}

impl Row {
    /// What a server must do to take part.
    pub fn service(&self) -> Service {
        match self.load {
            Load::Broadcast { .. } => Service::Chat,
            _ => Service::Upper,
        }
    }
}

/// The rows whose names start with one of `names`; all rows when there are none.
pub fn select(names: &[String]) -> Result<Vec<Row>, String> {
    if names.is_empty() {
        return Ok(ROWS.to_vec());
    }
    let matches = |row: &Row, name: &String| row.name == name || row.name.starts_with(&name[..]);
    if let Some(unknown) = names
        .iter()
        .find(|name| !ROWS.iter().any(|row| matches(row, name)))
    {
        return Err(format!("no row is called {unknown}"));
    }
    // An exact name means that row alone: `echo-50` is also how `echo-500` starts.
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

/// Bytes of a message on all rows but the bulk ones.
pub const MESSAGE: usize = 64;
/// Bytes of a message on the bulk rows.
pub const BULK_MESSAGE: usize = 64 * 1024;

const SMALL: usize = 1024;
const LARGE: usize = 64 * 1024;

pub const fn echo(name: &'static str, title: &'static str, connections: usize) -> Row {
    Row {
        name,
        title,
        load: Load::Echo { connections },
        buffer: SMALL,
        threads: 1,
        nodelay_matters: false,
        beside_unix: false,
        runtime: None,
    }
}

const fn bulk(name: &'static str, title: &'static str, buffer: usize) -> Row {
    Row {
        name,
        title,
        load: Load::Bulk,
        buffer,
        threads: 1,
        nodelay_matters: true,
        beside_unix: false,
        runtime: None,
    }
}

const fn broadcast(name: &'static str, title: &'static str, under_way: usize) -> Row {
    Row {
        name,
        title,
        load: Load::Broadcast {
            clients: 1000,
            under_way,
        },
        buffer: SMALL,
        threads: 1,
        nodelay_matters: true,
        beside_unix: false,
        runtime: None,
    }
}

const fn on(runtime: Runtime, name: &'static str, title: &'static str, connections: usize) -> Row {
    Row {
        runtime: Some(runtime),
        ..echo(name, title, connections)
    }
}

const ROWS: [Row; 22] = [
    echo("echo-1", "64 bytes to and fro, 1 connection", 1),
    echo("echo-50", "64 bytes to and fro, 50 connections", 50),
    echo("echo-500", "64 bytes to and fro, 500 connections", 500),
    echo("echo-5000", "64 bytes to and fro, 5,000 connections", 5000),
    bulk("bulk-1k", "64 KiB messages, server buffer 1 KiB", SMALL),
    bulk("bulk-64k", "64 KiB messages, server buffer 64 KiB", LARGE),
    Row {
        name: "close",
        title: "connect, echo 64 bytes, close",
        load: Load::Close,
        buffer: SMALL,
        threads: 1,
        nodelay_matters: true,
        beside_unix: false,
        runtime: None,
    },
    Row {
        name: "idle-10000",
        title: "10,000 quiet connections",
        load: Load::Idle {
            connections: 10_000,
        },
        buffer: SMALL,
        threads: 1,
        nodelay_matters: false,
        beside_unix: false,
        runtime: None,
    },
    Row {
        threads: 2,
        nodelay_matters: true,
        ..echo(
            "threads-50",
            "64 bytes to and fro, 50 connections, two cores",
            50,
        )
    },
    Row {
        beside_unix: true,
        ..echo(
            "unix-50",
            "64 bytes to and fro, 50 connections, Unix sockets beside TCP (ratio to halves)",
            50,
        )
    },
    broadcast(
        "broadcast-1",
        "100 bytes to each of 1,000 clients, one frame at a time",
        1,
    ),
    broadcast(
        "broadcast-64",
        "100 bytes to each of 1,000 clients, a frame each from 64 of them under way",
        64,
    ),
    on(
        Runtime::Tokio,
        "on-tokio-1",
        "64 bytes to and fro, 1 connection, on tokio's current_thread runtime (ratio to the plain loop)",
        1,
    ),
    on(
        Runtime::Tokio,
        "on-tokio-50",
        "64 bytes to and fro, 50 connections, on tokio's current_thread runtime (ratio to the plain loop)",
        50,
    ),
    on(
        Runtime::Smol,
        "on-smol-1",
        "64 bytes to and fro, 1 connection, on smol::block_on with an Executor (ratio to the plain loop)",
        1,
    ),
    on(
        Runtime::Smol,
        "on-smol-50",
        "64 bytes to and fro, 50 connections, on smol::block_on with an Executor (ratio to the plain loop)",
        50,
    ),
    on(
        Runtime::SmolLocal,
        "on-smol-local-1",
        "64 bytes to and fro, 1 connection, on smol::block_on with a LocalExecutor (ratio to the plain loop)",
        1,
    ),
    on(
        Runtime::SmolLocal,
        "on-smol-local-50",
        "64 bytes to and fro, 50 connections, on smol::block_on with a LocalExecutor (ratio to the plain loop)",
        50,
    ),
    on(
        Runtime::SmolGlobal,
        "on-smol-global-1",
        "64 bytes to and fro, 1 connection, on smol's global executor (ratio to the plain loop)",
        1,
    ),
    on(
        Runtime::SmolGlobal,
        "on-smol-global-50",
        "64 bytes to and fro, 50 connections, on smol's global executor (ratio to the plain loop)",
        50,
    ),
    on(
        Runtime::AsyncStd,
        "on-async-std-1",
        "64 bytes to and fro, 1 connection, on async-std (ratio to the plain loop)",
        1,
    ),
    on(
        Runtime::AsyncStd,
        "on-async-std-50",
        "64 bytes to and fro, 50 connections, on async-std (ratio to the plain loop)",
        50,
    ),
];

const fn column(title: &'static str, decimals: usize) -> Column {
    Column { title, decimals }
}

const ECHO_COLUMNS: [Column; 4] = [
    column("CPU us/echo", 2),
    column("echoes/s", 0),
    column("p50 us", 1),
    column("p99 us", 1),
];
const BULK_COLUMNS: [Column; 4] = [
    column("CPU us/message", 2),
    column("MB/s", 0),
    column("p50 us", 1),
    column("p99 us", 1),
];
const CLOSE_COLUMNS: [Column; 4] = [
    column("CPU us/connection", 2),
    column("connections/s", 0),
    column("p50 us", 1),
    column("p99 us", 1),
];
const BROADCAST_COLUMNS: [Column; 4] = [
    column("CPU us/delivery", 3),
    column("deliveries/s", 0),
    column("p50 us/turn", 0),
    column("p99 us/turn", 0),
];
const IDLE_COLUMNS: [Column; 2] = [
    column("bytes/connection", 0),
    column("CPU us/connection", 2),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<&'static str> {
        let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
        select(&words).unwrap().iter().map(|row| row.name).collect()
    }

    #[test]
    fn the_start_of_a_name_selects_all_that_share_it() {
        assert_eq!(names(&["bulk"]), ["bulk-1k", "bulk-64k"]);
        assert_eq!(names(&[]).len(), ROWS.len());
    }

    #[test]
    fn a_whole_name_selects_one_row() {
        assert_eq!(names(&["echo-50"]), ["echo-50"]);
        assert_eq!(names(&["close", "echo-1"]), ["echo-1", "close"]);
    }

    #[test]
    fn an_unknown_row_is_refused() {
        assert!(select(&["ehco".into()]).is_err());
    }
}
