//! Both halves work at the same time, in two threads, also while the peer updates its keys and the
//! writer is blocked.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use futures_lite::future::{self, block_on};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::memory::{self, PipeReader, PipeWriter};
use halves::testing::pattern;
use halves::tls::{TlsReader, TlsWriter};
use halves::{Connection, Reader, Writer};
use rustls::version::TLS13;
use rustls::{ServerConnection, SupportedProtocolVersion};

use super::forger::Forger;
use super::{Client, Ends, VERSIONS};
use crate::support::tls_peer::TlsPeer;

/// Far more bytes than the pipes take.
const BYTES: usize = 300_000;
const BOUND: usize = 8192;

async fn write(mut writer: Writer<TlsWriter<PipeReader, PipeWriter>>) -> io::Result<()> {
    for chunk in pattern(BYTES).chunks(1000) {
        writer.write_all(chunk).await?;
    }
    writer.close().await?;
    let late = writer.write(b"late").await;
    assert_eq!(late.expect_err("closed").kind(), ErrorKind::BrokenPipe);
    Ok(())
}

async fn read(mut reader: Reader<TlsReader<PipeReader, PipeWriter>>) -> io::Result<Vec<u8>> {
    let (mut all, mut buf) = (Vec::new(), [0; 777]);
    loop {
        match reader.read(&mut buf).await? {
            0 => return Ok(all),
            n => all.extend_from_slice(&buf[..n]),
        }
    }
}

/// Sends everything before it reads anything, with new keys from time to time.
async fn write_as_client(client: &mut Client) -> io::Result<()> {
    let has_key_updates = client.session.protocol_version() == Some(TLS13.version);
    for (n, chunk) in pattern(BYTES).chunks(1000).enumerate() {
        if has_key_updates && n % 20 == 7 {
            client
                .session
                .refresh_traffic_keys()
                .expect("a good time for it");
        }
        client.write_all(chunk).await?;
    }
    Ok(())
}

fn pass_both_ways(version: &'static SupportedProtocolVersion) {
    let connected = block_on(Ends::new(version).with_client(BOUND));
    let (mut client, Connection { reader, writer, .. }) = connected.expect("both handshakes");
    let writing = thread::spawn(move || block_on(write(writer)));
    let reading = thread::spawn(move || block_on(read(reader)));
    block_on(write_as_client(&mut client)).expect("the server reads");
    // The pipe to the client has been full meanwhile.
    assert!(!writing.is_finished());
    let received = block_on(client.read_to_end()).expect("the server writes");
    assert!(received == pattern(BYTES), "{} bytes", received.len());
    writing.join().expect("no panic").expect("the client reads");
    // The other direction is still open.
    block_on(client.write_all(b"more")).expect("the server reads");
    block_on(client.close()).expect("a close");
    let received = reading
        .join()
        .expect("no panic")
        .expect("the client writes");
    assert!(received == [&pattern(BYTES)[..], b"more"].concat());
}

#[test]
fn both_directions_pass_while_the_writer_is_blocked_and_keys_are_updated() {
    for version in VERSIONS {
        for _ in 0..3 {
            pass_both_ways(version);
        }
    }
}

/// A handshake message of a server: a ticket for a later session (RFC 8446, 4.6.1).
fn ticket() -> Vec<u8> {
    let body = [
        &[0, 0, 0, 60][..],
        &[1; 4],
        &[1, 7],
        &[0, 3, 7, 7, 7],
        &[0, 0],
    ]
    .concat();
    let length = u8::try_from(body.len()).expect("a short message");
    [&[4, 0, 0, length][..], &body].concat()
}

/// Sends tickets in fragments, each in a write of its own, and payload after each.
async fn write_fragments(
    mut writer: Writer<PipeWriter>,
    mut forger: Forger,
    count: usize,
) -> io::Result<()> {
    const HANDSHAKE: u8 = 22;
    const APPLICATION_DATA: u8 = 23;
    for n in 0..count {
        for fragment in ticket().chunks(1 + n % 9) {
            writer
                .write_all(&forger.record(HANDSHAKE, fragment))
                .await?;
        }
        writer
            .write_all(&forger.record(APPLICATION_DATA, b"payload"))
            .await?;
    }
    Ok(())
}

#[test]
fn messages_arrive_in_fragments_while_another_thread_writes() {
    const TICKETS: usize = 300;
    let ends = Ends::new(VERSIONS[1]);
    let mut config = (*ends.acceptor.config()).clone();
    config.enable_secret_extraction = true;
    let session = ServerConnection::new(Arc::new(config)).expect("a config");
    // The tickets of the handshake are not read at once.
    let (near, far) = memory::pair(2000);
    let mut server = TlsPeer::new(session, far);
    let connect = ends.connector.handshake(near, "localhost");
    let shaken = block_on(future::try_zip(connect, server.shake_hands()));
    let (mut client, ()) = shaken.expect("both handshakes");
    let (mut beneath, forger) = (server.beneath, Forger::new(server.session));
    let feeding = thread::spawn(move || block_on(write_fragments(beneath.writer, forger, TICKETS)));
    let draining = thread::spawn(move || {
        let drained = block_on(beneath.reader.read_to_end(&mut Vec::new()));
        drained.expect("an end in order")
    });
    let over = Arc::new(AtomicBool::new(false));
    let writing = {
        let over = over.clone();
        thread::spawn(move || {
            block_on(async {
                while !over.load(Ordering::Relaxed) {
                    client.writer.write_all(b"meanwhile").await?;
                }
                client.writer.close().await
            })
        })
    };
    let mut received = vec![0; 7 * TICKETS];
    let read = block_on(client.reader.read_exact(&mut received));
    over.store(true, Ordering::Relaxed);
    read.expect("fragments are allowed");
    assert_eq!(received, b"payload".repeat(TICKETS));
    feeding.join().expect("no panic").expect("the client reads");
    writing.join().expect("no panic").expect("the server reads");
    assert!(draining.join().expect("no panic") > 0);
}
