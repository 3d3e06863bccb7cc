//! The heap memory of an idle connection: the sum in docs/decisions/0024. The test counts what the
//! whole process allocates.

#![cfg(all(target_os = "linux", not(halves_portable)))]

use std::alloc::System;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use halves::proxy_protocol::{ProxyProtocol, Version};
use halves::service::Upper;
use halves::{Connection, Executor, Handle, Listeners, Report, Server, Shutdown, bind};
use rustix::process::{Resource, getrlimit, setrlimit};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::support::skip::skip;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Idle connections.
const CONNECTIONS: usize = 1_000;
/// Descriptors for both ends of them, and for the rest of the process.
const DESCRIPTORS: u64 = 2 * CONNECTIONS as u64 + 100;

/// The record, with its socket and two reference counts, in bytes.
const RECORD: usize = 200;
/// The task, in bytes: 72 for `Serving`, 16 for its place among the tasks, 48 for async-task.
const TASK: usize = 136;
/// Entries in the lists of tasks, connections and sources, which grow to powers of two.
const ENTRIES: usize = 40;
/// The sum of these, as the allocator rounds it, in bytes.
const BYTES_PER_CONNECTION: usize = 392;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) pieces: usize,
    pub(crate) bytes: usize,
}

impl Held {
    pub(crate) fn now() -> Self {
        let stats = HEAP.stats();
        Self {
            pieces: stats.allocations - stats.deallocations,
            bytes: stats.bytes_allocated - stats.bytes_deallocated,
        }
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            pieces: self.pieces - before.pieces,
            bytes: self.bytes - before.bytes,
        }
    }
}

fn connect(server: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(server).expect("connected");
    echo(&mut client);
    client
}

fn echo(client: &mut TcpStream) {
    let mut answer = [0];
    client.write_all(b"a").expect("written");
    client.read_exact(&mut answer).expect("answered");
    assert_eq!(answer, *b"A");
}

/// The memory that `many` connections add once each was answered and waits for more input. They are
/// closed again. One thread serves all of them, so all are idle once `other` is answered twice.
fn idle(many: usize, server: SocketAddr, other: &mut TcpStream, handle: &Handle) -> Held {
    let mut clients = Vec::with_capacity(many);
    for _ in 0..2 {
        echo(other);
    }
    let before = Held::now();
    clients.extend((0..many).map(|_| connect(server)));
    for _ in 0..2 {
        echo(other);
    }
    let after = Held::now();
    drop(clients);
    while handle.stats().open > 1 {
        echo(other);
    }
    after.since(before)
}

/// The memory of [`CONNECTIONS`] idle connections of the server that `serve` runs: the first time,
/// in which lists grow, and the second. Returns `None` if too few descriptors are allowed.
fn measure(
    serve: impl FnOnce(Executor, Server, Listeners) -> io::Result<Report> + Send + 'static,
) -> Option<[Held; 2]> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    if limit.maximum.is_some_and(|most| most < DESCRIPTORS) {
        return None;
    }
    let shutdown = Shutdown::default();
    let server = Server::default().shutdown(shutdown.clone());
    let handle = server.handle();
    let ex = Executor::new();
    let listeners = ex.block_on(bind("127.0.0.1:0")).expect("bound");
    let address = listeners.local_addrs()[0]
        .to_string()
        .parse()
        .expect("an address");
    // Not a scoped thread: a client that panics would wait for it.
    let serving = thread::spawn(move || serve(ex, server, listeners));
    let mut other = connect(address);
    let mut idle = |many| idle(many, address, &mut other, &handle);
    // Allocates what stays, and lists with room for 16.
    idle(10);
    // The lists do not shrink.
    let measured = [idle(CONNECTIONS), idle(CONNECTIONS)];
    shutdown.abort();
    let served = serving.join().expect("no panic");
    served.expect("served");
    Some(measured)
}

pub(crate) fn an_idle_connection_is_two_allocations_and_its_entries() {
    let measured = measure(|ex, server, listeners| {
        let service = Upper::default();
        let handler = move |c: Connection| service.serve(c.reader, c.writer);
        ex.block_on(server.serve(&ex, listeners, handler))
    });
    let Some([first, second]) = measured else {
        skip(
            "an_idle_connection_is_two_allocations_and_its_entries",
            "too few descriptors are allowed",
        );
        return;
    };
    assert_eq!(second.pieces, 2 * CONNECTIONS, "a record and a task each");
    assert_eq!(second.bytes, (RECORD + TASK) * CONNECTIONS);
    assert_eq!(first.pieces, second.pieces);
    let places = CONNECTIONS.next_power_of_two() - 16;
    assert_eq!(first.bytes - second.bytes, ENTRIES * places);
    assert_eq!(
        allocated(RECORD) + allocated(TASK) + ENTRIES,
        BYTES_PER_CONNECTION
    );
}

pub(crate) fn an_idle_connection_that_expects_no_header_has_no_other_allocation() {
    let measured = measure(|ex, server, listeners| {
        let service = Upper::default();
        let handler = move |c: Connection| service.serve(c.reader, c.writer);
        let proxy = ProxyProtocol::new(Version::Any).except(0);
        let (listener, handler) = (proxy.listen(listeners), proxy.wrap(handler));
        ex.block_on(server.serve(&ex, listener, handler))
    });
    let Some([_, second]) = measured else {
        skip(
            "an_idle_connection_that_expects_no_header_has_no_other_allocation",
            "too few descriptors are allowed",
        );
        return;
    };
    assert_eq!(second.pieces, 2 * CONNECTIONS, "a record and a task each");
    let task = TASK + size_of::<usize>();
    assert_eq!(second.bytes, (RECORD + task) * CONNECTIONS);
}

/// As glibc rounds it, with 8 bytes of its own.
fn allocated(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16)
}
