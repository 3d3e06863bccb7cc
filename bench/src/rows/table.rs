//! The tables of rows and of their columns.

use super::{Column, Layer, Load, Row, Service};
use crate::runtime::Runtime;

const SMALL_BUFFER_BYTES: usize = 1024;
const LARGE_BUFFER_BYTES: usize = 64 * 1024;

pub const fn echo(name: &'static str, title: &'static str, connections: usize) -> Row {
    row(name, title, Load::Echo { connections })
}

const fn row(name: &'static str, title: &'static str, load: Load) -> Row {
    Row {
        name,
        title,
        load,
        buffer: SMALL_BUFFER_BYTES,
        threads: 1,
        client_free: false,
        nodelay_matters: false,
        beside_unix: false,
        service: Service::Upper,
        layer: Layer::None,
        runtime: None,
    }
}

const fn threads(name: &'static str, title: &'static str, connections: usize) -> Row {
    Row {
        threads: 2,
        nodelay_matters: true,
        ..echo(name, title, connections)
    }
}

const fn free(name: &'static str, title: &'static str, connections: usize) -> Row {
    Row {
        client_free: true,
        ..threads(name, title, connections)
    }
}

const fn bulk(name: &'static str, title: &'static str, buffer: usize) -> Row {
    Row {
        buffer,
        nodelay_matters: true,
        ..row(name, title, Load::Bulk)
    }
}

const fn close(name: &'static str, title: &'static str) -> Row {
    Row {
        nodelay_matters: true,
        ..row(name, title, Load::Close)
    }
}

const fn handshake(name: &'static str, title: &'static str, resumes: bool) -> Row {
    Row {
        load: Load::Handshake { resumes },
        layer: Layer::Tls,
        ..close(name, title)
    }
}

const fn broadcast(name: &'static str, title: &'static str, under_way: usize) -> Row {
    let load = Load::Broadcast {
        clients: 1000,
        under_way,
    };
    Row {
        nodelay_matters: true,
        service: Service::Chat,
        ..row(name, title, load)
    }
}

const fn relay(row: Row) -> Row {
    Row {
        nodelay_matters: false,
        service: Service::Relay,
        ..row
    }
}

const fn on(runtime: Runtime, name: &'static str, title: &'static str, connections: usize) -> Row {
    Row {
        runtime: Some(runtime),
        ..echo(name, title, connections)
    }
}

pub(super) const ROWS: [Row; 39] = [
    echo("echo-1", "64 bytes to and fro, 1 connection", 1),
    echo("echo-50", "64 bytes to and fro, 50 connections", 50),
    echo("echo-500", "64 bytes to and fro, 500 connections", 500),
    echo("echo-5000", "64 bytes to and fro, 5,000 connections", 5000),
    bulk(
        "bulk-1k",
        "64 KiB messages, server buffer 1 KiB",
        SMALL_BUFFER_BYTES,
    ),
    bulk(
        "bulk-64k",
        "64 KiB messages, server buffer 64 KiB",
        LARGE_BUFFER_BYTES,
    ),
    close("close", "connect, echo 64 bytes, close"),
    row(
        "idle-10000",
        "10,000 quiet connections",
        Load::Idle {
            connections: 10_000,
        },
    ),
    handshake(
        "tls-full",
        "connect, full TLS 1.3 handshake, echo 64 bytes, close",
        false,
    ),
    handshake(
        "tls-resumed",
        "connect, resumed TLS 1.3 handshake, echo 64 bytes, close",
        true,
    ),
    Row {
        layer: Layer::Tls,
        ..bulk(
            "tls-64k",
            "64 KiB messages over TLS, server buffer 64 KiB",
            LARGE_BUFFER_BYTES,
        )
    },
    Row {
        layer: Layer::Tls,
        ..row(
            "tls-idle-10000",
            "10,000 quiet TLS connections, after 64 bytes and after 64 KiB each",
            Load::Burst {
                connections: 10_000,
            },
        )
    },
    Row {
        layer: Layer::Proxy,
        ..close(
            "proxy",
            "connect, PROXY v2 header or none, echo 64 bytes, close",
        )
    },
    relay(echo(
        "relay-50",
        "64 bytes to and fro through a relay, 50 connections",
        50,
    )),
    relay(bulk(
        "relay-64k",
        "64 KiB messages to and fro through a relay",
        LARGE_BUFFER_BYTES,
    )),
    relay(close(
        "relay-close",
        "connect, echo 64 bytes through a relay, close",
    )),
    relay(row(
        "relay-idle-9000",
        "9,000 quiet connections through a relay, which has two sockets for each",
        Load::Idle { connections: 9000 },
    )),
    Row {
        nodelay_matters: false,
        service: Service::Exec,
        ..close(
            "exec",
            "connect, start a child without libc, echo 64 bytes, close",
        )
    },
    threads(
        "threads-4",
        "64 bytes to and fro, 4 connections, two cores",
        4,
    ),
    threads(
        "threads-50",
        "64 bytes to and fro, 50 connections, two cores",
        50,
    ),
    threads(
        "threads-500",
        "64 bytes to and fro, 500 connections, two cores",
        500,
    ),
    free(
        "free-4",
        "64 bytes to and fro, 4 connections, two cores, client unpinned",
        4,
    ),
    free(
        "free-50",
        "64 bytes to and fro, 50 connections, two cores, client unpinned",
        50,
    ),
    free(
        "free-500",
        "64 bytes to and fro, 500 connections, two cores, client unpinned",
        500,
    ),
    Row {
        load: Load::Skewed { connections: 50 },
        ..free(
            "skewed",
            "50 connections, two cores, 200 us of work a message on every second one",
            50,
        )
    },
    Row {
        load: Load::Blocked { connections: 20 },
        ..free(
            "blocked",
            "20 connections, two cores, one of which blocks a thread for a second",
            20,
        )
    },
    Row {
        beside_unix: true,
        ..echo(
            "unix-50",
            "64 bytes to and fro, 50 connections, Unix sockets beside TCP",
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
        "64 bytes to and fro, 1 connection, on tokio's current_thread runtime",
        1,
    ),
    on(
        Runtime::Tokio,
        "on-tokio-50",
        "64 bytes to and fro, 50 connections, on tokio's current_thread runtime",
        50,
    ),
    on(
        Runtime::Smol,
        "on-smol-1",
        "64 bytes to and fro, 1 connection, on smol::block_on with an Executor",
        1,
    ),
    on(
        Runtime::Smol,
        "on-smol-50",
        "64 bytes to and fro, 50 connections, on smol::block_on with an Executor",
        50,
    ),
    on(
        Runtime::SmolLocal,
        "on-smol-local-1",
        "64 bytes to and fro, 1 connection, on smol::block_on with a LocalExecutor",
        1,
    ),
    on(
        Runtime::SmolLocal,
        "on-smol-local-50",
        "64 bytes to and fro, 50 connections, on smol::block_on with a LocalExecutor",
        50,
    ),
    on(
        Runtime::SmolGlobal,
        "on-smol-global-1",
        "64 bytes to and fro, 1 connection, on smol's global executor",
        1,
    ),
    on(
        Runtime::SmolGlobal,
        "on-smol-global-50",
        "64 bytes to and fro, 50 connections, on smol's global executor",
        50,
    ),
    on(
        Runtime::AsyncStd,
        "on-async-std-1",
        "64 bytes to and fro, 1 connection, on async-std",
        1,
    ),
    on(
        Runtime::AsyncStd,
        "on-async-std-50",
        "64 bytes to and fro, 50 connections, on async-std",
        50,
    ),
];

const fn column(title: &'static str, decimals: usize) -> Column {
    Column { title, decimals }
}

pub(super) const ECHO_COLUMNS: [Column; 4] = [
    column("CPU us/echo", 2),
    column("echoes/s", 0),
    column("p50 us", 1),
    column("p99 us", 1),
];
pub(super) const THREADS_COLUMNS: [Column; 5] = [
    column("CPU us/echo", 2),
    column("echoes/s", 0),
    column("p50 us", 1),
    column("p99 us", 1),
    column("p99.9 us", 1),
];
pub(super) const SKEWED_COLUMNS: [Column; 4] = [
    column("messages/s", 0),
    column("heavy messages/s", 0),
    column("light p50 us", 1),
    column("light p99 us", 1),
];
pub(super) const BLOCKED_COLUMNS: [Column; 3] = [
    column("worst ms", 2),
    column("p50 us", 1),
    column("echoes/blocked second", 0),
];
pub(super) const BULK_COLUMNS: [Column; 4] = [
    column("CPU us/message", 2),
    column("MB/s", 0),
    column("p50 us", 1),
    column("p99 us", 1),
];
pub(super) const GIGABYTE_COLUMNS: [Column; 4] = [
    column("CPU ms/GB", 0),
    column("MB/s", 0),
    column("p50 us", 1),
    column("p99 us", 1),
];
pub(super) const CLOSE_COLUMNS: [Column; 4] = [
    column("CPU us/connection", 2),
    column("connections/s", 0),
    column("p50 us", 1),
    column("p99 us", 1),
];
pub(super) const BROADCAST_COLUMNS: [Column; 4] = [
    column("CPU us/delivery", 3),
    column("deliveries/s", 0),
    column("p50 us/turn", 0),
    column("p99 us/turn", 0),
];
pub(super) const IDLE_COLUMNS: [Column; 2] = [
    column("bytes/connection", 0),
    column("CPU us/connection", 2),
];
pub(super) const BURST_COLUMNS: [Column; 4] = [
    column("bytes/connection", 0),
    column("after a burst", 0),
    column("CPU us/connection", 2),
    column("CPU us/burst", 2),
];
