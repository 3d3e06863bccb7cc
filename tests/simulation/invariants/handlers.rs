//! The handlers of a script, of many kinds.

use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::service::{echo, upper};
use halves::testing::{Sim, pattern};
use halves::{Connection, Peer, Reader, Reason, Writer};

use super::layer::Layer;
use super::ledger::{Kind, Ledger, Outcome, port};
use super::settings::{millis, one_of};

/// The length of the secret of a handshake, and of the address of a real client.
const SECRET_BYTES: usize = 6;
/// More bytes than any client sends.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| pattern(1 << 20));

/// The future of a handler. Its guard is dropped last.
pub(crate) struct Served {
    future: Pin<Box<dyn Future<Output = io::Result<()>>>>,
    log: Guard,
}

/// Reports the drop of a handler.
struct Guard(Log);

/// Panics when it is dropped.
struct PanicOnDrop(Log);

/// Writes the entries of one handler.
#[derive(Clone)]
struct Log {
    ledger: Ledger,
    port: u16,
}

/// A reader that reports each byte.
struct In {
    reader: Reader,
    log: Log,
}

/// A writer that reports each byte.
struct Out {
    writer: Writer,
    log: Log,
}

/// Returns the handler of a connection.
pub(crate) fn serve(sim: Sim, ledger: Ledger, connection: Connection) -> Served {
    let port = port(&connection.peer);
    let kind = kind(&sim);
    ledger.begin_handler(port, kind);
    let log = Log { ledger, port };
    let anonymous = log.ledger.with(port, |account, _| account.anonymous);
    let shakes = !anonymous && one_of(&sim, 5);
    let future = {
        let log = log.clone();
        async move {
            let connection = if anonymous || shakes {
                shake(&sim, &log, connection, anonymous).await?
            } else {
                connection
            };
            run(sim, kind, &log, connection).await
        }
    };
    Served {
        future: Box::pin(future),
        log: Guard(log),
    }
}

fn kind(sim: &Sim) -> Kind {
    match sim.random(0..24) {
        0..=6 => Kind::Copies,
        7 => Kind::Echoes,
        8 => Kind::Uppers,
        9..=11 => Kind::Writes,
        12 | 13 => Kind::Discards,
        14 => Kind::Leaves,
        15 if one_of(sim, 2) => Kind::Panics,
        15 => Kind::PanicsLate,
        16 => Kind::Aborts,
        17 => Kind::Fails,
        18 => Kind::Spawns,
        19 => Kind::Sleeps,
        20 | 21 => Kind::Lines,
        22 => Kind::Forgets,
        _ => Kind::Layered,
    }
}

/// Reads a secret in a handshake, or the address of the real client.
async fn shake(
    sim: &Sim,
    log: &Log,
    connection: Connection,
    anonymous: bool,
) -> io::Result<Connection> {
    let Connection {
        reader,
        writer,
        peer,
    } = connection;
    let handshake = (!anonymous).then(|| peer.handshake());
    if handshake.is_some() {
        log.ledger.begin_handshake(log.port);
    }
    let mut input = In {
        reader,
        log: log.clone(),
    };
    for _ in 0..SECRET_BYTES {
        if input.read(&mut [0]).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    log.ledger
        .with(log.port, |account, _| account.skipped = SECRET_BYTES);
    let connection = Connection {
        reader: input.reader,
        writer,
        peer,
    };
    if anonymous {
        let last = u8::try_from(sim.random(1..4)).expect("a small number");
        let real = Ipv4Addr::new(198, 51, 100, last);
        let identified = connection.identify(std::net::SocketAddr::from((real, 1)));
        let refused = identified.as_ref().err().map(refusal);
        log.ledger.identified(log.port, real, refused);
        identified?;
    } else {
        drop(handshake);
        log.ledger.end_handshake(log.port);
    }
    Ok(connection)
}

/// Returns the reason in the error of `Connection::identify`.
fn refusal(error: &io::Error) -> Reason {
    let text = error.to_string();
    let mut reasons = Reason::ALL.iter().filter(|reason| reason.is_refusal());
    let found = reasons.find(|reason| text.ends_with(reason.as_str()));
    *found.unwrap_or(&Reason::Panic)
}

async fn run(sim: Sim, kind: Kind, log: &Log, connection: Connection) -> io::Result<()> {
    match kind {
        Kind::Echoes => return echo(connection.reader, connection.writer).await,
        Kind::Uppers => return upper(connection.reader, connection.writer).await,
        Kind::Lines | Kind::Forgets => return lines(connection, kind).await,
        Kind::Layered => return layered(connection).await,
        Kind::Sleeps => {
            sim.clock().sleep(millis(&sim, 0..200_000)).await;
            drop(connection);
            return Ok(());
        }
        _ => {}
    }
    let Connection {
        reader,
        writer,
        peer,
    } = connection;
    let log = log.clone();
    let input = In {
        reader,
        log: log.clone(),
    };
    let output = Out { writer, log };
    match kind {
        Kind::Writes => {
            if one_of(&sim, 2) {
                drop(input);
                return writes(sim, output).await;
            }
            let _unread = input;
            writes(sim, output).await
        }
        Kind::Discards => {
            drop(output);
            discards(input).await
        }
        Kind::Spawns => {
            spawns(&sim, input, output);
            Ok(())
        }
        _ => short(sim, kind, peer, input, output).await,
    }
}

/// The handlers that read a little first, and then do different things.
async fn short(sim: Sim, kind: Kind, peer: Peer, mut input: In, mut output: Out) -> io::Result<()> {
    if kind == Kind::Copies {
        return copies(input, output).await;
    }
    if kind == Kind::PanicsLate {
        let _panic = PanicOnDrop(output.log.clone());
        return copies(input, output).await;
    }
    let mut buf = [0; 100];
    let length = usize::try_from(sim.random(1..100)).expect("a small number");
    input.read(&mut buf[..length]).await?;
    match kind {
        Kind::Panics => {
            let Log { ledger, port } = &output.log;
            ledger.outcome(*port, Outcome::Panicked);
            resume_unwind(Box::new("a panic of a script"));
        }
        Kind::Fails => return Err(io::Error::other("a failure of a script")),
        Kind::Aborts => {
            peer.abort();
            return Ok(());
        }
        _ => {}
    }
    let answer = usize::try_from(sim.random(0..3000)).expect("a small number");
    output.write(&PATTERN[..answer]).await
}

async fn copies(mut input: In, mut output: Out) -> io::Result<()> {
    loop {
        let chunk = input.reader.read_chunk_or_drain().await?;
        input.note(&chunk);
        if chunk.is_empty() {
            return Ok(());
        }
        output.write(&chunk).await?;
    }
}

async fn writes(sim: Sim, mut output: Out) -> io::Result<()> {
    let messages = sim.random(0..12);
    let longest = if one_of(&sim, 20) {
        output.log.ledger.network().long_message()
    } else {
        3000
    };
    let mut at = 0;
    for _ in 0..messages {
        let length = sim.random(0..longest);
        let next = at + usize::try_from(length).expect("a small number");
        output.write(&PATTERN[at..next.min(PATTERN.len())]).await?;
        at = next.min(PATTERN.len());
        if one_of(&sim, 2) {
            sim.clock().sleep(millis(&sim, 0..2000)).await;
        }
    }
    if one_of(&sim, 2) {
        output.writer.close().await?;
    }
    Ok(())
}

async fn discards(mut input: In) -> io::Result<()> {
    let mut buf = [0; 512];
    while input.read(&mut buf).await? > 0 {}
    Ok(())
}

/// Gives both halves, or one of them, to a task.
fn spawns(sim: &Sim, input: In, output: Out) {
    match sim.random(0..3) {
        0 => sim.spawn(async move { copies(input, output).await }),
        1 => sim.spawn(async move { discards(input).await }),
        _ => sim.spawn(writes(sim.clone(), output)),
    }
}

/// Answers each line, without waiting for the peer except at the high-water mark.
async fn lines(connection: Connection, kind: Kind) -> io::Result<()> {
    let Connection {
        mut reader, writer, ..
    } = connection;
    let mut writer = writer.buffered().water_marks(100, 1000);
    while let Some(mut line) = reader.line().await? {
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        writer.write(&line)?;
        writer.ready().await?;
    }
    if kind == Kind::Forgets {
        return Ok(());
    }
    writer.close().await
}

/// Copies above a layer, and leaves the flush to the server.
async fn layered(connection: Connection) -> io::Result<()> {
    let layer = async |reader, writer| Ok(Layer::new(reader, writer));
    let connection = connection.upgrade(layer).await?;
    let (mut reader, mut writer) = (connection.reader, connection.writer);
    let mut buf = [0; 700];
    loop {
        let n = reader.read_or_drain(&mut buf).await?;
        if n == 0 {
            return Ok(());
        }
        writer.write_all(&buf[..n]).await?;
    }
}

impl In {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buf).await?;
        self.note(&buf[..n]);
        Ok(n)
    }

    fn note(&self, bytes: &[u8]) {
        let Log { ledger, port } = &self.log;
        if bytes.is_empty() {
            if self.reader.at_eof() {
                ledger.saw_end(*port);
            }
        } else {
            ledger.read(*port, bytes, &PATTERN);
        }
    }
}

impl Out {
    /// Writes a message. A connection that ends in the middle of it must be reset.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Log { ledger, port } = &self.log;
        let mut left = bytes;
        ledger.message(*port, 0, left.len());
        while !left.is_empty() {
            let n = self.writer.write(left).await?;
            ledger.wrote(*port, n);
            left = &left[n..];
            ledger.message(*port, n, left.len());
        }
        Ok(())
    }
}

impl Future for Served {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Log { ledger, port } = self.log.0.clone();
        ledger.begin_poll(port);
        let polled = self.future.as_mut().poll(cx);
        if let Poll::Ready(result) = &polled {
            let returned = result.is_ok();
            ledger.outcome(
                port,
                if returned {
                    Outcome::Returned
                } else {
                    Outcome::Failed
                },
            );
        }
        polled
    }
}

impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        let Log { ledger, port } = &self.0;
        ledger.outcome(*port, Outcome::Panicked);
        if !std::thread::panicking() {
            resume_unwind(Box::new("a panic of a script, in a drop"));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.ledger.drop_handler(self.0.port);
    }
}

/// Returns the bytes that a client sends.
pub(crate) fn message(length: usize) -> &'static [u8] {
    &PATTERN[..length]
}
