//! The services that send without being asked: chargen, daytime and time.

use std::io;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::memory::MemoryConnection;
use halves::service::{chargen, daytime, time};
use halves::{Connection, Server};

use crate::support::harness::script::read_to_end;
use crate::support::harness::{World, server};

const LINE_BYTES: usize = 74;

async fn chargens(c: MemoryConnection) -> io::Result<()> {
    chargen(c.reader, c.writer).await
}

async fn read(client: &mut MemoryConnection, bytes: usize) -> Vec<u8> {
    let mut read = vec![0; bytes];
    let result = client.reader.read_exact(&mut read).await;
    result.expect("there is more");
    read
}

#[test]
fn chargen_repeats_its_pattern_after_95_lines_also_to_a_half_closed_client() {
    let world = World::new();
    let (served, connector) = world.serve_memory(Server::default(), chargens);
    let mut client = world.connect(&connector);
    let (first, second, client) = world.now(async move {
        client.writer.write_all(b"dropped").await.expect("read");
        client.writer.close().await.expect("a pipe closes");
        let first = read(&mut client, 95 * LINE_BYTES).await;
        (first, read(&mut client, 95 * LINE_BYTES).await, client)
    });
    assert!(first == second);
    assert!(first.starts_with(b" !\"#$%"));
    assert!(served.events().is_empty());
    drop(client);
    world.settle();
    assert_eq!(served.events(), ["closed 1 eof"]);
}

#[test]
fn chargen_ends_in_a_drain() {
    let world = World::new();
    let (server, shutdown) = server();
    let (served, connector) = world.serve_memory(server, chargens);
    let mut client = world.connect(&connector);
    let client = world.now(async move {
        read(&mut client, 10 * LINE_BYTES).await;
        client
    });
    shutdown.drain();
    world.settle();
    world.now(read_to_end(client)).expect("an end in order");
    let report = world.report(served);
    assert_eq!((report.finished, report.aborted), (1, 0));
}

#[test]
fn daytime_and_time_send_once_and_end() {
    let world = World::new();
    let (_dates, connector) = world.serve_memory(Server::default(), async |c: Connection<_, _>| {
        daytime(c.reader, c.writer).await
    });
    let date = read_to_end(world.connect(&connector));
    let date = String::from_utf8(world.now(date).expect("an end in order")).expect("text");
    assert!(
        date.ends_with("-UTC\r\n") && date.contains("day, "),
        "{date}"
    );
    let (_times, connector) = world.serve_memory(Server::default(), async |c: Connection<_, _>| {
        time(c.reader, c.writer).await
    });
    let seconds = read_to_end(world.connect(&connector));
    assert_eq!(world.now(seconds).expect("an end in order").len(), 4);
}
