//! Bytes that a handler has written and the kernel does not accept yet: they are sent, or their
//! loss is reported.
#![cfg(all(target_os = "linux", not(halves_portable)))]

mod filling;
mod linger;
mod orders;
mod reports;
mod sent;
mod waiting;

use std::future::pending;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::{Connection, Server};

use filling::{PIECE, assert_bytes, bytes, stuff};

use crate::support::harness::sockets::{Client, Family, Served, World, eventually};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_nanos(1);
/// The time that a client may make no progress.
const LINGER: Duration = Duration::from_secs(2);
const FAMILIES: [Family; 2] = [Family::Tcp, Family::Unix];

/// The action of a handler after it has written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Returns,
    WaitsForSomethingElse,
    Flushes,
    Closes,
    WritesMore,
    DropsItsWriterAndReads,
    KeepsItsHalvesInAnotherTask,
    FlushesInAnotherTask,
}

/// The number of bytes that the handler has written, once it has.
type Written = Arc<Mutex<Option<usize>>>;

/// A server with handlers that write more than the kernel accepts.
async fn serve(world: &World, server: Server, then: Then) -> (Served, Written) {
    let written = Written::default();
    let (sink, ex) = (written.clone(), world.ex.clone());
    let handler = async move |mut c: Connection| {
        let n = stuff(&mut c.writer).await;
        *sink.lock().expect("no panic") = Some(n);
        match then {
            Then::Returns => {}
            Then::WaitsForSomethingElse => pending().await,
            Then::Flushes => c.writer.flush().await?,
            Then::Closes => c.writer.close().await?,
            Then::WritesMore => c.writer.write_all(&bytes(n, 1 << 23)).await?,
            Then::DropsItsWriterAndReads => {
                drop(c.writer);
                c.reader.read_to_end(&mut Vec::new()).await?;
            }
            Then::KeepsItsHalvesInAnotherTask => {
                let keeps = async move {
                    let _kept = c;
                    pending::<()>().await;
                };
                ex.spawn(keeps).detach();
            }
            Then::FlushesInAnotherTask => {
                ex.spawn(async move { c.writer.flush().await }).detach();
            }
        }
        Ok(())
    };
    (world.serve(server, handler).await, written)
}

async fn so_much(written: &Written) -> usize {
    eventually(|| written.lock().expect("no panic").take()).await
}

/// A client of a handler that has written, and does something else by now; and the number of bytes.
async fn stuffed(world: &World, server: Server, then: Then) -> (Served, Client, usize) {
    let (served, written) = serve(world, server, then).await;
    let client = served.connect();
    let n = so_much(&written).await;
    world.settle().await;
    let over = |event: &String| event.starts_with("closed");
    assert!(!served.events().iter().any(over), "it is not over");
    (served, client, n)
}

/// As [`stuffed`], with a handler that has returned.
async fn left(world: &World, server: Server) -> (Served, Client, usize) {
    stuffed(world, server, Then::Returns).await
}

/// Asserts that the client received an answer of `n` bytes that was cut.
async fn assert_cut(world: &World, client: &Client, n: usize) {
    let (received, end) = client.rest().await;
    assert_bytes(0, &received);
    assert!(received.len() < n, "all of {n} bytes");
    // A Unix socket without unread input has no reset.
    if world.family == Family::Tcp {
        let kind = end.expect_err("a cut answer must not look whole").kind();
        assert_eq!(kind, ErrorKind::ConnectionReset);
    }
}
