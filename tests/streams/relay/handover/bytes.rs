//! Every byte of a relay that moves arrives once and in order.

use std::iter;

use fastrand::Rng;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::testing::pattern;
use halves::{Connection, Reader, Writer};

use super::{World, end, pass, run};
use crate::support::seed::seeds;

const MIB: usize = 1 << 20;

/// Lets the relays run this many turns.
async fn turns(count: usize) {
    for _ in 0..count {
        future::yield_now().await;
    }
}

/// Writes until the relay takes no more for a while, and returns the rest.
async fn fill<'a>(end: &mut Connection, bytes: &'a [u8]) -> &'a [u8] {
    let (mut left, mut stalls) = (bytes, 0);
    while stalls < 200 && !left.is_empty() {
        match future::poll_once(end.writer.write(left)).await {
            Some(n) => (left, stalls) = (&left[n.expect("open")..], 0),
            None => stalls += 1,
        }
        future::yield_now().await;
    }
    left
}

#[test]
fn all_that_a_stalled_relay_holds_moves_with_it() {
    let sent = pattern(40 * MIB);
    for unix in [false, true] {
        for moves in [1, 2] {
            run(unix, async |mut world: World| {
                let mut process = world.first().await;
                let (mut client, mut origin) = world.connect(&process).await;
                let there = fill(&mut client, &sent).await;
                let back = fill(&mut origin, &sent).await;
                assert!(
                    !there.is_empty() && !back.is_empty(),
                    "all buffers are full"
                );
                for _ in 0..moves {
                    let (new, done) = world.move_all(&process).await;
                    assert_eq!(done.left, 0);
                    process.until_open(0).await;
                    process = new;
                }
                let (there, back) = (sent.len() - there.len(), sent.len() - back.len());
                for (is_question, length) in [(true, there), (false, back)] {
                    let (from, to) = if is_question {
                        (&mut client, &mut origin)
                    } else {
                        (&mut origin, &mut client)
                    };
                    from.writer.close().await.expect("open");
                    let mut received = Vec::new();
                    to.reader.read_to_end(&mut received).await.expect("an end");
                    assert!(received == sent[..length]);
                }
                let counts = format!("eof in={there} out={back}");
                assert_eq!(process.until_closed(1).await, [counts]);
            });
        }
    }
}

/// Sends bytes in random pieces with random pauses, and then the end.
async fn send(end: &mut Writer, bytes: &[u8], mut random: Rng) {
    let mut left = bytes;
    while !left.is_empty() {
        let most = 1 << random.u32(..20);
        let (now, later) = left.split_at(random.usize(1..=most).min(left.len()));
        end.write_all(now).await.expect("a relay");
        left = later;
        if random.u8(..3) == 0 {
            end.flush().await.expect("a relay");
            turns(random.usize(..20)).await;
        }
    }
    end.close().await.expect("a relay");
}

/// Reads up to the end, with random pauses.
async fn receive(end: &mut Reader, mut random: Rng) -> Vec<u8> {
    let (mut all, mut buf) = (Vec::new(), vec![0; MIB]);
    loop {
        let room = {
            let most = 1 << random.u32(..20);
            random.usize(1..=most)
        };
        match end.read(&mut buf[..room]).await.expect("no reset") {
            0 => return all,
            n => all.extend_from_slice(&buf[..n]),
        }
        if random.u8(..3) == 0 {
            turns(random.usize(..30)).await;
        }
    }
}

#[test]
fn random_schedules_lose_no_byte_and_repeat_none() {
    for seed in seeds(25) {
        let outcome = std::panic::catch_unwind(|| schedule(seed));
        assert!(outcome.is_ok(), "HALVES_SEED={seed}");
    }
}

fn schedule(seed: u64) {
    let mut random = Rng::with_seed(seed);
    run(random.bool(), async |mut world: World| {
        let mut process = world.first().await;
        let (mut client, mut origin) = world.connect(&process).await;
        let mut bytes = || -> Vec<u8> {
            let most = 1 << random.u32(..22);
            let length = random.usize(..most);
            iter::repeat_with(|| random.u8(..)).take(length).collect()
        };
        let (question, answer) = (bytes(), bytes());
        let mut fork = || Rng::with_seed(random.u64(..));
        let there = send(&mut client.writer, &question, fork());
        let back = send(&mut origin.writer, &answer, fork());
        let at_origin = receive(&mut origin.reader, fork());
        let at_client = receive(&mut client.reader, fork());
        let traffic = async {
            let sends = future::zip(there, back);
            future::zip(sends, future::zip(at_origin, at_client))
                .await
                .1
        };
        let mut moments = fork();
        let mut moves = 0;
        let moving = async {
            for _ in 0..4 {
                turns(moments.usize(..200)).await;
                let (new, done) = world.move_all(&process).await;
                assert_eq!(done.left, 0);
                moves += done.moved;
                process = new;
            }
        };
        let (received, ()) = future::zip(traffic, moving).await;
        assert!(received.0 == question, "the question, {moves} moves");
        assert!(received.1 == answer, "the answer, {moves} moves");
    });
}

#[test]
fn a_thousand_relays_move_at_once() {
    run(true, async |mut world: World| {
        let old = world.first().await;
        let mut ends = Vec::new();
        for n in 0..1000_u32 {
            let (mut client, mut origin) = world.connect(&old).await;
            pass(&mut client, &mut origin, &n.to_le_bytes()).await;
            // On its way during the move.
            client.writer.write_all(b"there").await.expect("open");
            origin.writer.write_all(b"back").await.expect("open");
            ends.push((client, origin));
        }
        let (new, done) = world.move_all(&old).await;
        assert_eq!((done.moved, done.left), (1000, 0));
        assert_eq!(old.until_closed(1000).await.len(), 1000);
        new.until_open(1000).await;
        for (client, origin) in &mut ends {
            for (end, bytes) in [(&mut *origin, "there"), (&mut *client, "back")] {
                let mut received = vec![0; bytes.len()];
                end.reader.read_exact(&mut received).await.expect("a relay");
                assert_eq!(received, bytes.as_bytes());
            }
            end(client, origin).await;
            end(origin, client).await;
        }
        let closed = new.until_closed(1000).await;
        assert!(closed.iter().all(|closed| closed == "eof in=9 out=4"));
    });
}
