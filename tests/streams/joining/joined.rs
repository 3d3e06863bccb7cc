//! The halves of a connection as one stream.

use std::io;

use futures_lite::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, future, io::split};
use halves::listener::memory;
use halves::testing::pattern;
use halves::{Connection, Peer};

use crate::process::joined::on_both;
use crate::support::conformance::{self, connected};

const TCP: &str = "127.0.0.1:0";

#[test]
fn a_joined_connection_conforms() {
    for bound in [1, 64] {
        smol::block_on(conformance::check(3000, async || {
            let (near, far) = memory::pair(bound);
            Ok((Connection::from_stream(near.join(), Peer::default()), far))
        }));
    }
    on_both(async || {
        conformance::check(300_000, async || {
            let (near, far) = connected(TCP).await?;
            Ok((Connection::from_stream(near.join(), Peer::default()), far))
        })
        .await;
    });
}

/// A write that waits and a read that waits have a waker each: the peer reads only after it has
/// written, and writes only after the write waits.
#[test]
fn two_tasks_use_one_stream() {
    let (near, mut far) = memory::pair(64);
    let (mut reader, mut writer) = split(near.join());
    let bytes = pattern(1000);
    let written = async {
        writer.write_all(&bytes).await?;
        writer.close().await
    };
    let read = async {
        let mut word = [0; 5];
        reader.read_exact(&mut word).await?;
        Ok(word)
    };
    let peer = async {
        far.writer.write_all(b"hello").await?;
        let mut received = Vec::new();
        far.reader.read_to_end(&mut received).await?;
        io::Result::Ok(received)
    };
    let all = future::try_zip(read, future::try_zip(written, peer));
    let (word, ((), received)) = smol::block_on(all).expect("all bytes pass");
    assert_eq!(&word, b"hello");
    assert_eq!(received, bytes);
}

#[test]
fn bytes_that_are_read_ahead_stay_in_the_stream() {
    smol::block_on(async {
        let (mut near, mut far) = memory::pair(64);
        far.writer.write_all(b"one\ntwo\nthree\nfour").await?;
        far.writer.close().await?;
        let first = near.reader.line().await.expect("a line");
        assert_eq!(first.expect("not the end"), b"one\n");
        let mut stream = near.join();
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        assert_eq!(line, "two\n");
        let mut near = stream.into_connection();
        let third = near.reader.line().await.expect("a line");
        assert_eq!(third.expect("not the end"), b"three\n");
        let mut rest = String::new();
        near.reader.read_to_string(&mut rest).await?;
        assert_eq!(rest, "four");
        assert_eq!(near.peer.bytes_in(), 18);
        io::Result::Ok(())
    })
    .expect("the lines arrive");
}
