//! Handlers on sockets that read and write in small pieces: nothing is lost, repeated or out of
//! order, with slow readers and clients that leave early.
//!
//! `HALVES_SEED=5 cargo test --test streams bulk` repeats a failure.

use std::future::pending;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::num::NonZero;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use futures_lite::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use halves::{Connection, Executor, Handle, Reason, Report, Server, bind};

use crate::support::seed::seed;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A server on threads of its own.
struct Served {
    address: SocketAddr,
    handle: Handle,
    server: thread::JoinHandle<Report>,
}

impl Served {
    fn start<H, F>(threads: usize, server: Server, handler: H) -> Self
    where
        H: FnOnce(Connection) -> F + Clone + Send + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let (handle, (sender, receiver)) = (server.handle(), mpsc::channel());
        let serve = async move |ex: Executor| {
            let listeners = bind("127.0.0.1:0").await?;
            sender
                .send(listeners.local_addrs()[0].socket_addr())
                .expect("received");
            server.serve(&ex, listeners, handler).await
        };
        let server = thread::spawn(move || {
            let ex = Executor::threads(NonZero::new(threads).expect("some"));
            ex.block_on(serve(ex.clone())).expect("served")
        });
        let address = receiver.recv_timeout(TIMEOUT).expect("it listens");
        Self {
            address: address.expect("it is TCP"),
            handle,
            server,
        }
    }

    fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).expect("it accepts");
        client.set_read_timeout(Some(TIMEOUT)).expect("set");
        client.set_write_timeout(Some(TIMEOUT)).expect("set");
        client
    }

    /// Waits for the end of all connections, and ends the server.
    fn end(self) -> Report {
        self.handle.shutdown().drain();
        self.server.join().expect("it does not panic")
    }
}

#[allow(clippy::cast_possible_truncation, reason = "that is the rest")]
fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|at| ((at * 7 + at / 251) % 256) as u8).collect()
}

/// Reads to the end, while a thread writes.
fn exchange(mut client: TcpStream, sent: Vec<u8>) -> Vec<u8> {
    let mut writer = client.try_clone().expect("a second handle");
    let writing = thread::spawn(move || {
        writer.write_all(&sent).expect("it reads");
        writer.shutdown(Shutdown::Write).expect("it is there");
    });
    let mut received = Vec::new();
    client.read_to_end(&mut received).expect("it answers");
    writing.join().expect("written");
    received
}

/// Echoes by reads and writes of all kinds and sizes.
async fn echo_by_pieces(connection: Connection, mut rng: Rng) -> io::Result<()> {
    let Connection {
        mut reader,
        mut writer,
        ..
    } = connection;
    loop {
        let most = if rng.u8(..) < 20 { 70_000 } else { 900 };
        let mut piece = vec![0; rng.usize(1..=most)];
        let got = match rng.u8(..5) {
            0 => {
                let lent = reader.fill_buf().await?;
                let got = lent.len().min(piece.len());
                piece[..got].copy_from_slice(&lent[..got]);
                reader.consume(got);
                got
            }
            1 => {
                let at = rng.usize(..piece.len());
                let (front, back) = piece.split_at_mut(at);
                let bufs = &mut [IoSliceMut::new(front), IoSliceMut::new(back)];
                reader.read_vectored(bufs).await?
            }
            2 => {
                piece = reader.read_chunk().await?.to_vec();
                piece.len()
            }
            3 => reader.read_or_drain(&mut piece).await?,
            _ => reader.read(&mut piece).await?,
        };
        if got == 0 {
            return writer.close().await;
        }
        let mut rest = &piece[..got];
        while !rest.is_empty() {
            let (front, back) = rest.split_at(rng.usize(1..=rest.len().min(5000)));
            let sent = if rng.bool() {
                let bufs = [IoSlice::new(front), IoSlice::new(back)];
                writer.write_vectored(&bufs).await?
            } else {
                writer.write(front).await?
            };
            rest = &rest[sent..];
        }
        if rng.u8(..) < 8 {
            writer.flush().await?;
        }
    }
}

#[test]
fn an_echo_in_pieces_of_all_sizes_is_exact() {
    let mut rng = Rng::with_seed(seed());
    for threads in [1, 2] {
        let rng_of_handlers = rng.fork();
        let served = Served::start(threads, Server::default(), move |connection| {
            echo_by_pieces(connection, rng_of_handlers)
        });
        let clients: Vec<_> = (0..6)
            .map(|_| {
                let (client, sent) = (served.client(), bytes(rng.usize(..600_000)));
                thread::spawn(move || assert!(exchange(client, sent.clone()) == sent))
            })
            .collect();
        for client in clients {
            client.join().expect("the same");
        }
        let report = served.end();
        assert_eq!(report.aborted, 0);
        assert_eq!(report.stats.bytes_in, report.stats.bytes_out);
    }
}

/// Many small writes, and the handler returns, before the client reads anything.
#[test]
fn an_answer_in_small_pieces_is_whole_after_its_handler_returned() {
    const LINES: usize = 40_000;
    let handler = async |connection: Connection| {
        let mut writer = connection.writer;
        for n in 0..LINES {
            writer.write_all(format!("{n:09}\n").as_bytes()).await?;
        }
        Ok(())
    };
    let served = Served::start(1, Server::default().max_connections(1), handler);
    let mut first = served.client();
    let mut second = served.client();
    // The second client is served once the first has its answer, and not before.
    for client in [&mut first, &mut second] {
        let mut received = String::new();
        client.shutdown(Shutdown::Write).expect("it is there");
        client.read_to_string(&mut received).expect("it answers");
        let lines: Vec<usize> = received
            .lines()
            .map(|line| line.parse().expect("a number"))
            .collect();
        assert!(lines.into_iter().eq(0..LINES));
    }
    assert_eq!(served.end().aborted, 0);
}

/// The handler waits for something else after its write.
#[test]
fn written_bytes_are_sent_while_the_handler_waits_for_something_else() {
    let handler = async |connection: Connection| {
        let mut writer = connection.writer;
        for byte in *b"seven b" {
            writer.write_all(&[byte]).await?;
        }
        pending().await
    };
    let served = Served::start(1, Server::default(), handler);
    let mut client = served.client();
    let mut received = [0; 7];
    client.read_exact(&mut received).expect("it is sent");
    assert_eq!(&received, b"seven b");
    served.handle.abort_clients();
    assert_eq!(served.end().stats.ended[Reason::Aborted], 1);
}

#[test]
fn a_handler_is_reached_wherever_it_waits() {
    let handler = async |connection: Connection| {
        let Connection {
            mut reader,
            mut writer,
            ..
        } = connection;
        let mut how = [0];
        reader.read_exact(&mut how).await?;
        writer.write_all(&how).await?;
        match how[0] {
            b'r' => drop(reader.read(&mut how).await?),
            b'd' => drop(reader.read_or_drain(&mut how).await?),
            b'b' => drop(reader.fill_buf().await?),
            b'w' => loop {
                writer.write_all(&[0; 9000]).await?;
            },
            // In another task, and this one waits for it.
            b't' => drop(smol::spawn(async move { reader.read(&mut [0]).await }).await?),
            _ => pending().await,
        }
        Ok(())
    };
    for end in [Handle::abort_clients, Handle::close_clients] {
        let served = Served::start(2, Server::default(), handler);
        let clients = b"rdbwtp".map(|how| {
            let mut client = served.client();
            client.write_all(&[how]).expect("it reads");
            client.read_exact(&mut [0]).expect("it answers");
            client
        });
        end(&served.handle);
        for mut client in clients {
            // To the end, with or without a reset.
            let _ = io::copy(&mut client, &mut io::sink());
        }
        let report = served.end();
        let ended = &report.stats.ended;
        assert_eq!(ended[Reason::Aborted] + ended[Reason::Closed], 6);
    }
}
