//! Both halves work at the same time, in two threads, also while the peer updates its keys and the
//! writer is blocked.

use std::io::{self, ErrorKind};
use std::thread;

use futures_lite::future::block_on;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::memory::{PipeReader, PipeWriter};
use halves::tls::rustls::SupportedProtocolVersion;
use halves::tls::rustls::version::TLS13;
use halves::tls::{TlsReader, TlsWriter};
use halves::{Connection, Reader, Writer};

use super::{Client, Ends, VERSIONS};
use crate::support::conformance::pattern;

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
