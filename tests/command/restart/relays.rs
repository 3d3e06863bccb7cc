//! Relays of `proxy --handover` move to the new process.

use std::fs;
use std::io::{Read, Write};
use std::net::{self, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fastrand::Rng;
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::tls::{ClientSettings, Connector};
use halves::{
    ConnectOptions, Connection, Executor, Listener, Reader, Shutdown, Writer, bind, connect,
};
use rustix::process::{Resource, getrlimit};
use smol::Task;

use super::Generations;
use crate::common::{Client, halves, serve};
use crate::support::seed::seed;
use crate::support::skip::skip;
use crate::tls::Files;

/// The relays under traffic.
const RELAYS: usize = 1000;
/// The files of the ends of the relays, and some more.
const FILES: u64 = 2 * RELAYS as u64 + 100;
/// The relays that are full all the time.
const STALLED: usize = 2;
/// Together more than the system holds of one direction.
const BLOCKS: u8 = 250;
const BLOCK_BYTES: usize = 100_001;

/// Starts a relay to a target.
fn proxy(target: &str, options: &[&str]) -> Generations {
    let listen = [
        "proxy",
        target,
        "--listen",
        "127.0.0.1:0",
        "--drain-timeout",
        "0",
    ];
    Generations::start(&mut halves(&[&listen, options].concat()), 1)
}

/// The traffic of one relay, until the drain. Then both sides end.
async fn traffic(n: usize, seed: u64, mut ends: (Connection, Connection), stop: Shutdown) {
    let random = &mut Rng::with_seed(seed);
    if n < STALLED {
        return stalled(ends, stop).await;
    }
    let (client, origin) = (&mut ends.0, &mut ends.1);
    pass(random, client, origin).await;
    match n % 10 {
        0 => {
            end(client, origin).await;
            // The other direction goes on.
            while !stop.is_draining() {
                pass(random, origin, client).await;
            }
            return end(origin, client).await;
        }
        1 => {
            while !stop.is_draining() {
                pass(random, client, origin).await;
                pass(random, origin, client).await;
            }
        }
        // Idle.
        _ => stop.requested().await,
    }
    end(client, origin).await;
    pass(random, origin, client).await;
    end(origin, client).await;
}

/// Sends random bytes, and compares them at the other side.
async fn pass(random: &mut Rng, from: &mut Connection, to: &mut Connection) {
    let bytes: Vec<u8> = (0..random.usize(1..2000)).map(|_| random.u8(..)).collect();
    let mut received = vec![0; bytes.len()];
    let write = async {
        from.writer.write_all(&bytes).await?;
        from.writer.flush().await
    };
    let passed = future::try_zip(write, to.reader.read_exact(&mut received)).await;
    passed.expect("neither refused, reset nor cut");
    assert!(received == bytes);
    future::yield_now().await;
}

async fn end(from: &mut Connection, to: &mut Connection) {
    from.writer.close().await.expect("open");
    let n = to.reader.read(&mut [0]).await.expect("an end");
    assert_eq!(n, 0, "more than was sent");
}

/// Fills both directions, and reads them at the end.
async fn stalled((mut client, mut origin): (Connection, Connection), stop: Shutdown) {
    let send = async |end: &mut Writer| {
        for block in 0..BLOCKS {
            end.write_all(&vec![block; BLOCK_BYTES])
                .await
                .expect("a relay");
        }
        end.close().await.expect("a relay");
    };
    let receive = async |end: &mut Reader| {
        stop.requested().await;
        for block in 0..BLOCKS {
            let mut received = vec![0; BLOCK_BYTES];
            end.read_exact(&mut received).await.expect("a relay");
            assert!(received.iter().all(|byte| *byte == block));
        }
        assert_eq!(end.read(&mut [0]).await.expect("an end"), 0);
    };
    let sends = future::zip(send(&mut client.writer), send(&mut origin.writer));
    let receives = future::zip(receive(&mut client.reader), receive(&mut origin.reader));
    future::zip(sends, receives).await;
}

#[test]
fn a_thousand_relays_move_twice_under_traffic_and_no_byte_is_lost_or_comes_twice() {
    let name = "a_thousand_relays_move_twice_under_traffic_and_no_byte_is_lost_or_comes_twice";
    let files = getrlimit(Resource::Nofile).current;
    if files.is_some_and(|files| files < FILES) {
        skip(name, "the limit of open files is too low");
        return;
    }
    let seed = seed();
    // Its address is known before the relay starts.
    let ex = Executor::new();
    let mut origin = ex.block_on(bind("127.0.0.1:0")).expect("a free port");
    let target = origin.local_addrs()[0].to_string();
    let mut server = proxy(&target, &["--handover"]);
    let at = server.first.at[0].to_string();
    let (started, stop) = (AtomicBool::new(false), Shutdown::default());
    thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            ex.block_on(async {
                let mut relays: Vec<Task<()>> = Vec::new();
                for n in 0..RELAYS {
                    let connecting = future::try_zip(connect(at.as_str()), origin.accept());
                    let (client, origin) = connecting.await.expect("a relay");
                    let ends = (client, origin.expect("it listens"));
                    let seed = seed.wrapping_add(n as u64);
                    relays.push(ex.spawn(traffic(n, seed, ends, stop.clone())));
                }
                started.store(true, Ordering::Release);
                for relay in relays {
                    relay.await;
                }
            });
        });
        let stopping = DrainOnDrop(&stop);
        while !started.load(Ordering::Acquire) && !traffic.is_finished() {
            thread::yield_now();
        }
        for restarts in 1..3 {
            server.restart();
            // Relays that had not begun follow, and then the old process ends.
            for line in ["handed_over ", "ended "] {
                while server.first.count(line) < restarts {
                    server.first.wait_for(line);
                }
            }
        }
        drop(stopping);
        traffic.join().expect("no byte is lost");
    });
    server.end();
    let closed = |reason: &str| {
        let lines = server.first.log.iter();
        lines
            .filter(|line| line.contains(&format!(" reason={reason} ")))
            .count()
    };
    assert_eq!(closed("handover"), 2 * RELAYS);
    let stayed = |line: &&String| line.starts_with("handed_over ") && !line.ends_with(" left=0");
    assert_eq!(server.first.log.iter().find(stayed), None);
    assert_eq!(closed("eof"), RELAYS);
}

/// Ends the traffic, also if the test fails.
struct DrainOnDrop<'a>(&'a Shutdown);

impl Drop for DrainOnDrop<'_> {
    fn drop(&mut self) {
        self.0.drain();
    }
}

#[test]
fn relays_stay_without_the_option() {
    let target = serve(&["upper"]);
    let mut server = proxy(&target.at[0].to_string(), &[]);
    let mut client = Client::new(server.first.at[0]);
    assert_eq!(client.ask("before"), "BEFORE");
    server.restart();
    assert_eq!(client.ask("after"), "AFTER");
    assert_eq!(client.finish(), b"");
    let closed = server.first.wait_for("closed ");
    assert!(closed.contains(" reason=eof in=11 out=11 "), "{closed}");
    server.end();
    assert_eq!(server.first.count("handed_over"), 0);
}

/// The counts of a connection go on, and so does its half that is open.
#[test]
fn a_half_closed_relay_moves_with_its_counts() {
    let origin = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let target = origin.local_addr().expect("an address").to_string();
    let mut server = proxy(&target, &["--handover"]);
    let mut client = Client::new(server.first.at[0]).0;
    client.write_all(b"question").expect("it reads");
    client.shutdown(net::Shutdown::Write).expect("open");
    let (mut origin, _) = origin.accept().expect("a relay");
    let mut question = Vec::new();
    origin.read_to_end(&mut question).expect("an end");
    assert_eq!(question, b"question");
    server.restart();
    assert_eq!(
        server.first.wait_for("handed_over "),
        "handed_over relays=1 left=0"
    );
    origin.write_all(b"answer").expect("it reads");
    drop(origin);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).expect("an end");
    assert_eq!(answer, b"answer");
    while server.first.count("closed ") < 2 {
        server.first.wait_for("closed ");
    }
    assert!(server.first.has_logged(" reason=handover in=8 out=0 "));
    assert!(server.first.has_logged(" reason=eof in=8 out=6 "));
    server.end();
}

#[test]
fn a_relay_with_tls_stays_and_a_plain_one_of_the_same_server_moves() {
    let files = Files::new();
    let target = serve(&["upper"]);
    let tls = files.options("server", &["localhost"]);
    let tls = tls.each_ref().map(String::as_str);
    let plain = ["--handover", "--listen", "127.0.0.1:0,tls=off"];
    let mut server = proxy(&target.at[0].to_string(), &[&plain[..], &tls].concat());
    server.first.wait_until_listening(1);
    let [secure, plain]: [SocketAddr; 2] = server.first.at[..].try_into().expect("two");
    let mut client = Client::new(plain);
    assert_eq!(client.ask("before"), "BEFORE");
    smol::block_on(async {
        let settings = ClientSettings::default().ca(files.ca());
        let connector: Connector = settings.load().expect("a CA");
        let options = ConnectOptions::new().tls(connector);
        let address = format!("localhost:{}", secure.port());
        let mut ends = options.connect(address.as_str()).await.expect("it listens");
        let mut ask = async |text: &[u8], answer: &[u8]| {
            ends.writer.write_all(text).await.expect("a relay");
            ends.writer.flush().await.expect("a relay");
            let mut received = vec![0; answer.len()];
            ends.reader
                .read_exact(&mut received)
                .await
                .expect("a relay");
            assert_eq!(received, answer);
        };
        ask(b"tls", b"TLS").await;
        server.restart();
        let line = server.first.wait_for("handed_over ");
        assert_eq!(line, "handed_over relays=1 left=1");
        ask(b"still", b"STILL").await;
    });
    assert_eq!(client.ask("after"), "AFTER");
    server.first.wait_for("ended ");
    assert_eq!(client.ask("and now"), "AND NOW");
    assert_eq!(client.finish(), b"");
    server.end();
}

#[test]
fn relays_stay_if_the_new_process_takes_none() {
    let target = serve(&["upper"]);
    let dir = crate::support::place::dir();
    let config = dir.path().join("config").display().to_string();
    fs::write(&config, "handover\n").expect("a file");
    let mut server = proxy(&target.at[0].to_string(), &["--config", &config]);
    let mut client = Client::new(server.first.at[0]);
    assert_eq!(client.ask("before"), "BEFORE");
    fs::write(&config, "").expect("a file");
    server.restart();
    let line = server.first.wait_for("handover_failed ");
    assert!(line.contains("error="), "{line}");
    assert_eq!(client.ask("after"), "AFTER");
    drop(client);
    server.first.wait_for("ended ");
    assert!(TcpStream::connect(server.first.at[0]).is_ok());
    server.end();
}
