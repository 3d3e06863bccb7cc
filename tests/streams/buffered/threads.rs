//! A writer on another thread than its handler, over sockets: bytes that are drained now and then,
//! and sent by either task, arrive complete.

use std::io::Read;
use std::net::TcpStream;
use std::num::NonZero;
use std::thread;
use std::time::Duration;

use halves::{Connection, Executor, Handle, Server, bind};
use smol::channel;

/// More bytes than the kernel holds at once.
const PIECES: u32 = 1_000_000;
const CLIENTS: usize = 3;

/// Reads slowly at first.
fn read_all(address: &str) -> Vec<u8> {
    let mut client = TcpStream::connect(address).expect("it listens");
    let timeout = Some(Duration::from_secs(20));
    client.set_read_timeout(timeout).expect("more than nothing");
    let mut all = Vec::new();
    for _ in 0..200 {
        let mut some = [0; 100];
        client.read_exact(&mut some).expect("more");
        all.extend(some);
        thread::yield_now();
    }
    client.read_to_end(&mut all).expect("the end");
    all
}

fn pieces() -> impl Iterator<Item = [u8; 8]> {
    (0..PIECES).map(|n| {
        u64::from(n)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .to_be_bytes()
    })
}

#[test]
fn a_writer_on_another_thread_loses_nothing() {
    let ex = Executor::threads(NonZero::<usize>::MIN.saturating_add(1));
    let tasks = ex.clone();
    let handler = async move |c: Connection| {
        let (sender, receiver) = channel::bounded(1);
        let mut writer = c.writer.buffered().water_marks(1000, 4000);
        let write = async move {
            for (n, piece) in pieces().enumerate() {
                writer.write(&piece)?;
                // Not each time: the rest is sent by the other task.
                if n % 100 == 0 || writer.waiting() > 4000 {
                    writer.ready().await?;
                }
            }
            writer.close().await
        };
        let task = async move {
            let _ = sender.send(write.await).await;
        };
        tasks.spawn(task).detach();
        receiver.recv().await.unwrap_or(Ok(()))
    };
    let expected: Vec<u8> = pieces().flatten().collect();
    let body = async |handle: Handle| {
        let address = handle.local_addrs()[0].to_string();
        for client in [(); CLIENTS].map(|()| address.clone()) {
            let all = smol::unblock(move || read_all(&client)).await;
            assert!(all == expected, "{} bytes have come", all.len());
        }
    };
    let served = ex.block_on(async {
        let listeners = bind("127.0.0.1:0").await?;
        Server::default()
            .serve_while(&ex, listeners, handler, body)
            .await
    });
    let ((), report) = served.expect("it serves");
    assert_eq!(report.stats.bytes_unsent, 0);
    assert_eq!(report.stats.bytes_out, (expected.len() * CLIENTS) as u64);
}
