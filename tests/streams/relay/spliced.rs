//! Between plain sockets, large transfers move through a pipe of the kernel.

use std::io::{self, ErrorKind};

use fastrand::Rng;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::connection::Endpoint;
use halves::testing::pattern;
use halves::{Connection, Executor, service};

use crate::support::seed::seed;
use crate::support::{conformance, place};

const MIB: usize = 1 << 20;

/// A client and an origin, and the ends of the relay.
type Ends = (Connection, Connection, Connection, Connection);

/// Runs a test with TCP and with Unix sockets, with the reactor of an executor of ours and without.
fn between_sockets(test: impl AsyncFn(Ends)) {
    let dir = place::dir();
    let run = async || {
        let path = dir.path().join("socket");
        for address in ["127.0.0.1:0", path.to_str().expect("text")] {
            let connect = async || conformance::connected(address).await.expect("connected");
            let (client, near) = connect().await;
            let (far, origin) = connect().await;
            test((client, near, far, origin)).await;
        }
    };
    Executor::new().block_on(run());
    smol::block_on(run());
}

async fn send(end: &mut Connection, bytes: &[u8], sizes: &mut Rng) -> io::Result<()> {
    let mut left = bytes;
    while !left.is_empty() {
        let most = 1 << sizes.u32(..22);
        let size = sizes.usize(1..=most).min(left.len());
        end.writer.write_all(&left[..size]).await?;
        left = &left[size..];
        if sizes.u8(..4) == 0 {
            end.writer.flush().await?;
            future::yield_now().await;
        }
    }
    end.writer.close().await
}

#[test]
fn all_bytes_pass_in_order_and_are_counted() {
    let mut random = Rng::with_seed(seed());
    let sent = pattern(6 * MIB);
    let seeds = [random.u64(..), random.u64(..)];
    between_sockets(async |(mut client, near, far, mut origin)| {
        let peers = [near.peer.clone(), far.peer.clone()];
        let answer = &sent[..2 * MIB];
        let there = async {
            let mut received = Vec::new();
            let sizes = &mut Rng::with_seed(seeds[0]);
            let write = send(&mut client, &sent, sizes);
            let read = origin.reader.read_to_end(&mut received);
            let (write, read) = future::zip(write, read).await;
            write.and(read)?;
            assert!(received == sent, "the question");
            // The other half is still open.
            received.clear();
            let sizes = &mut Rng::with_seed(seeds[1]);
            let write = send(&mut origin, answer, sizes);
            let read = client.reader.read_to_end(&mut received);
            let (write, read) = future::zip(write, read).await;
            write.and(read)?;
            assert!(received == answer, "the answer");
            io::Result::Ok(())
        };
        let (relayed, ends) = future::zip(service::relay(near, far), there).await;
        relayed.expect("both have ended");
        ends.expect("no error");
        for (peer, [received, sent]) in peers.iter().zip([[6, 2], [2, 6]]) {
            assert_eq!(peer.bytes_in(), (received * MIB) as u64);
            assert_eq!(peer.bytes_out(), (sent * MIB) as u64);
        }
    });
}

#[test]
fn a_pipe_holds_at_most_a_mebibyte_of_a_side_that_does_not_read() {
    // More than the buffers of the kernel hold: those of TCP are up to 20 MiB, of both connections.
    let [many, few] = [30, 4].map(|size| vec![7; size * MIB]);
    between_sockets(async |(mut client, near, far, mut origin)| {
        let is_tcp = matches!(near.peer.endpoint(), Endpoint::Inet(_));
        let sent = if is_tcp { &many } else { &few };
        let peers = [near.peer.clone(), far.peer.clone()];
        let held = || peers[0].bytes_in() - peers[1].bytes_out();
        let mut most = 0;
        let stalls = async {
            let sizes = &mut Rng::with_seed(1);
            let mut write = Box::pin(send(&mut client, sent, sizes));
            let mut turns = 0;
            let mut before = 0;
            // Until nothing moves.
            while turns < 1000 {
                assert!(future::poll_once(&mut write).await.is_none(), "too much");
                future::yield_now().await;
                most = most.max(held());
                turns = if peers[0].bytes_in() == before {
                    turns + 1
                } else {
                    0
                };
                before = peers[0].bytes_in();
            }
            let mut received = Vec::new();
            let read = origin.reader.read_to_end(&mut received);
            let (write, read) = future::zip(write, read).await;
            write.and(read)?;
            assert!(received == *sent);
            origin.writer.close().await
        };
        let (relayed, stalled) = future::zip(service::relay(near, far), stalls).await;
        relayed.expect("both have ended");
        stalled.expect("no error");
        assert!(most <= MIB as u64, "{most}");
    });
}

#[test]
fn a_reset_ends_both_sides_in_the_middle_of_a_transfer() {
    let sent = vec![7; 30 * MIB];
    for of_client in [true, false] {
        Executor::new().block_on(async {
            let connect = async || conformance::connected("127.0.0.1:0").await.expect("open");
            let (mut client, near) = connect().await;
            let (far, mut origin) = connect().await;
            let ends = async {
                let sizes = &mut Rng::with_seed(1);
                let peers = [client.peer.clone(), origin.peer.clone()];
                let resets = async {
                    let mut received = vec![0; 5 * MIB];
                    origin.reader.read_exact(&mut received).await?;
                    peers[usize::from(!of_client)].abort();
                    // The rest, and then the reset.
                    origin.reader.read_to_end(&mut received).await
                };
                let (write, read) = future::zip(send(&mut client, &sent, sizes), resets).await;
                assert!(write.is_err(), "the client");
                assert!(read.is_err(), "the origin");
            };
            let (relayed, ()) = future::zip(service::relay(near, far), ends).await;
            assert_eq!(
                relayed.expect_err("a reset").kind(),
                ErrorKind::ConnectionReset
            );
        });
    }
}
