//! Peers that do not speak TLS, or speak it wrong.

use std::error::Error;
use std::io::{self, ErrorKind};

use fastrand::Rng;
use futures_lite::future::{self, block_on};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::listener::memory;

use super::check::check;
use super::{Ends, VERSIONS};
use crate::support::seed::seeds;

#[test]
fn any_input_ends_and_nothing_panics() {
    for seed in seeds(300) {
        let mut rng = Rng::with_seed(seed);
        let most = [5, 50, 3000][rng.usize(..3)];
        let mut input: Vec<u8> = (0..rng.usize(..most)).map(|_| rng.u8(..)).collect();
        if rng.bool() && input.len() > 6 {
            // It looks like a record.
            input[1..4].copy_from_slice(&[rng.u8(20..25), 3, rng.u8(1..5)]);
            input[4] = 0;
        }
        check(&input);
    }
}

#[test]
fn a_client_that_speaks_another_protocol_gets_an_alert_and_the_error_names_it() -> io::Result<()> {
    for (request, problem) in [
        (
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            "not TLS: it looks like HTTP",
        ),
        (b"hello world", "not TLS: it begins with 'hello world'"),
        (b"\x16\x03\x01", "the stream ended during the TLS handshake"),
        (b"", "the stream ended during the TLS handshake"),
    ] {
        let (mut client, server) = memory::pair(1000);
        block_on(async {
            client.writer.write_all(request).await?;
            client.writer.close().await?;
            let accepted = Ends::new(VERSIONS[1]).acceptor.accept(server).await;
            let error = accepted.expect_err("it is not TLS");
            assert_eq!(error.to_string(), problem);
            let mut received = Vec::new();
            client.reader.read_to_end(&mut received).await?;
            if request.len() > 5 {
                // A fatal alert.
                assert_eq!(received[..6], [21, 3, 3, 0, 2, 2]);
                assert_eq!(error.kind(), ErrorKind::InvalidData);
            } else {
                assert_eq!(received, []);
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
            }
            io::Result::Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_certificate_that_is_not_trusted_ends_both_handshakes() {
    let (client, server) = (Ends::new(VERSIONS[1]), Ends::new(VERSIONS[1]));
    let (near, far) = memory::pair(10_000);
    let connect = client.connector.handshake(near, "localhost");
    let (connected, accepted) = block_on(future::zip(connect, server.acceptor.accept(far)));
    for (error, problem) in [
        (connected.err(), "a signature is wrong"),
        (accepted.err(), "alert from the peer"),
    ] {
        let error = error.expect("a handshake failed");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(error.to_string().contains(problem), "{error}");
        let source = error.get_ref().and_then(|error| error.source());
        let source = source.and_then(<dyn Error>::downcast_ref::<rustls::Error>);
        assert!(source.is_some());
    }
}

#[test]
fn an_alert_waits_behind_records_that_the_stream_has_no_room_for() -> io::Result<()> {
    for version in VERSIONS {
        let (mut client, mut server) = block_on(Ends::new(version).with_client(100))?;
        block_on(async {
            assert_eq!(server.writer.write(&[1; 1000]).await?, 1000);
            client.beneath.writer.write_all(&[23, 3, 3, 0, 20]).await?;
            client.beneath.writer.write_all(&[7; 20]).await?;
            let error = server.reader.read(&mut [0]).await.expect_err("it is wrong");
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            let received = async {
                client.read_exact(&mut [0; 1000]).await?;
                client.read(&mut [0]).await
            };
            let (closed, received) = future::zip(server.writer.close(), received).await;
            let error = received.expect_err("an alert");
            assert!(error.to_string().contains("BadRecordMac"), "{error}");
            closed
        })?;
    }
    Ok(())
}

#[test]
fn a_wrong_record_is_answered_with_an_alert_without_a_write() -> io::Result<()> {
    for version in VERSIONS {
        let (mut client, mut server) = block_on(Ends::new(version).with_client(1000))?;
        block_on(async {
            client.beneath.writer.write_all(&[23, 3, 3, 0, 20]).await?;
            client.beneath.writer.write_all(&[7; 20]).await?;
            for _ in 0..2 {
                let error = server.reader.read(&mut [0]).await.expect_err("it is wrong");
                assert_eq!(error.kind(), ErrorKind::InvalidData);
            }
            let error = client.read(&mut [0]).await.expect_err("an alert");
            assert!(error.to_string().contains("BadRecordMac"), "{error}");
            let error = server
                .writer
                .write(b"late")
                .await
                .expect_err("it has failed");
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            // Only the stream beneath is closed.
            server.writer.close().await?;
            io::Result::Ok(())
        })?;
    }
    Ok(())
}
