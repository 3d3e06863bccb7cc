//! Random traffic over sockets. Halves move between executors, threads and runtimes while it goes
//! on, and are dropped in the middle, as are executors. Received bytes are a beginning of the sent
//! ones, and all of them if nothing was dropped.
//!
//! `HALVES_SEED=5 cargo test --test streams stress` repeats a failure, as far as threads allow.

use std::io::{self, ErrorKind};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_lite::future::{block_on, poll_once, yield_now};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};
use halves::{Connection, Executor, Listener, Reader, Writer};
use smol::Timer;
use smol::channel::{Receiver, Sender, bounded};

use crate::support::seed::seed;

const TIMEOUT: Duration = Duration::from_secs(30);
const ROUNDS: usize = 30;
/// A slow machine ends after fewer rounds.
const MAX_ROUNDS_TIME: Duration = Duration::from_secs(6);
const PAIRS: usize = 24;
/// The largest number of bytes of one writer.
const MAX_STREAM_BYTES: usize = 300_000;

#[test]
fn sent_bytes_arrive_however_halves_move() {
    let mut rng = Rng::with_seed(seed());
    let start = Instant::now();
    let rounds = (0..ROUNDS).take_while(|_| start.elapsed() < MAX_ROUNDS_TIME);
    for _ in rounds {
        run(&mut rng.fork());
    }
}

/// The executors between which halves move. An executor that is replaced drops its tasks.
struct World {
    places: Mutex<Vec<Executor>>,
}

impl World {
    fn new(rng: &mut Rng) -> Arc<Self> {
        let places = (0..3).map(|_| threads(rng.usize(2..=3))).collect();
        Arc::new(Self {
            places: Mutex::new(places),
        })
    }

    fn any(&self, rng: &mut Rng) -> Executor {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places[rng.usize(..places.len())].clone()
    }

    /// Replaces one of the executors.
    fn replace(&self, rng: &mut Rng) {
        let new = threads(rng.usize(2..=3));
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let at = rng.usize(..places.len());
        let old = std::mem::replace(&mut places[at], new);
        drop(places);
        drop(old);
    }

    /// Continues elsewhere: in a task of another executor, on a thread that drives one for it
    /// alone, or on a thread that drives none.
    fn go_on(self: Arc<Self>, rng: &mut Rng, work: impl Future<Output = ()> + Send + 'static) {
        match rng.u8(..8) {
            0 => drop(thread::spawn(|| smol::block_on(work))),
            1 => drop(thread::spawn(|| block_on(work))),
            2 => drop(thread::spawn(|| Executor::new().block_on(work))),
            3 => smol::spawn(work).detach(),
            _ => self.any(rng).spawn(work).detach(),
        }
    }
}

fn threads(n: usize) -> Executor {
    Executor::threads(NonZero::new(n).expect("not 0"))
}

/// The way one direction has ended.
#[derive(Debug, PartialEq)]
enum End {
    /// The reader received so many bytes, and then the end of input.
    Read(usize),
    /// The writer has closed after so many bytes.
    Written(usize),
    /// The half was dropped on purpose, or found that the peer was.
    Dropped,
    /// The executor was dropped, and the task with it.
    Lost,
    /// The reader received a wrong byte at this place.
    Wrong(usize),
}

/// Reports the end of a half, also when it is dropped.
struct Reports {
    to: Sender<End>,
    end: End,
    /// Closed when a half is dropped early. Then the other half of the same socket is dropped, too,
    /// which closes the socket, and the peer notices.
    side: Side,
}

type Side = (Sender<()>, Receiver<()>);

impl Reports {
    fn end(mut self, end: End) {
        self.end = end;
    }

    /// Runs `half` as long as the other half is there.
    async fn unless_gone<T>(&self, half: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let gone = async {
            let _ = self.side.1.recv().await;
            Err(ErrorKind::ConnectionReset.into())
        };
        half.or(gone).await
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        if !matches!(self.end, End::Read(_) | End::Written(_)) {
            self.side.0.close();
        }
        let _ = self
            .to
            .try_send(std::mem::replace(&mut self.end, End::Lost));
    }
}

/// The byte at a place of the stream.
fn byte(key: usize, at: usize) -> u8 {
    let mixed = (at ^ key).wrapping_mul(0x9E37_79B9) >> 7;
    mixed.to_le_bytes()[0]
}

struct Writing {
    writer: Writer,
    key: usize,
    at: usize,
    end: usize,
    drops: bool,
    reports: Reports,
}

struct Reading {
    reader: Reader,
    key: usize,
    at: usize,
    drops: bool,
    reports: Reports,
}

/// Writes a part, and leaves the rest to another executor.
async fn write(world: Arc<World>, mut half: Writing, mut rng: Rng) {
    for _ in 0..rng.usize(1..12) {
        let n = rng.usize(1..=20_000).min(half.end - half.at);
        let part: Vec<_> = (half.at..half.at + n)
            .map(|at| byte(half.key, at))
            .collect();
        let written = half.reports.unless_gone(half.writer.write_all(&part)).await;
        if written.is_err() {
            return half.reports.end(End::Dropped);
        }
        half.at += n;
        if half.at == half.end {
            let closed = half.writer.close().await;
            let end = closed.map_or(End::Dropped, |()| End::Written(half.at));
            return half.reports.end(end);
        }
        pause(&mut rng).await;
    }
    if half.drops && rng.u8(..4) == 0 {
        return half.reports.end(End::Dropped);
    }
    let next = rng.fork();
    world.clone().go_on(&mut rng, write_on(world, half, next));
}

fn write_on(world: Arc<World>, half: Writing, rng: Rng) -> smol::future::Boxed<()> {
    Box::pin(write(world, half, rng))
}

async fn read(world: Arc<World>, mut half: Reading, mut rng: Rng) {
    for _ in 0..rng.usize(1..12) {
        let mut buf = vec![0; rng.usize(1..=20_000)];
        // Now and then a read is begun and dropped: it has taken nothing.
        let begun = match rng.u8(..4) {
            0 => poll_once(half.reader.read(&mut buf)).await,
            _ => None,
        };
        let read: io::Result<usize> = match begun {
            Some(read) => read,
            None => half.reports.unless_gone(half.reader.read(&mut buf)).await,
        };
        match read {
            Ok(0) => return half.reports.end(End::Read(half.at)),
            Ok(n) => {
                for &got in &buf[..n] {
                    if got != byte(half.key, half.at) {
                        return half.reports.end(End::Wrong(half.at));
                    }
                    half.at += 1;
                }
            }
            Err(error) => {
                let reset = error.kind() == ErrorKind::ConnectionReset;
                let end = if reset {
                    End::Dropped
                } else {
                    End::Wrong(half.at)
                };
                return half.reports.end(end);
            }
        }
        pause(&mut rng).await;
    }
    if half.drops && rng.u8(..4) == 0 {
        return half.reports.end(End::Dropped);
    }
    let next = rng.fork();
    world.clone().go_on(&mut rng, read_on(world, half, next));
}

fn read_on(world: Arc<World>, half: Reading, rng: Rng) -> smol::future::Boxed<()> {
    Box::pin(read(world, half, rng))
}

/// Waits for a wake-up from the same thread, from a timer, from another thread, or for none.
async fn pause(rng: &mut Rng) {
    match rng.u8(..16) {
        0 => {
            Timer::after(Duration::from_micros(rng.u64(..500))).await;
        }
        1 => smol::unblock(|| ()).await,
        2..5 => yield_now().await,
        _ => {}
    }
}

async fn connections(n: usize) -> Vec<(Connection, Connection)> {
    let mut listener = halves::bind("127.0.0.1:0").await.expect("bound");
    let at = listener.local_addrs()[0].to_string();
    let mut pairs = Vec::new();
    for _ in 0..n {
        let client = halves::connect(&*at).await.expect("connected");
        let server = listener.accept().await.expect("accepted");
        pairs.push((client, server.expect("one")));
    }
    pairs
}

/// Starts both halves of one direction. Returns the places for their ends.
fn start(
    world: &Arc<World>,
    rng: &mut Rng,
    (writer, from): (Writer, &Side),
    (reader, to): (Reader, &Side),
) -> (Receiver<End>, Receiver<End>, usize) {
    let (written, read) = (bounded(1), bounded(1));
    let (key, end, drops) = (
        rng.usize(..),
        rng.usize(1..MAX_STREAM_BYTES),
        rng.u8(..8) == 0,
    );
    let reports = |to, side: &Side| Reports {
        to,
        end: End::Lost,
        side: side.clone(),
    };
    let writing = Writing {
        writer,
        key,
        at: 0,
        end,
        drops,
        reports: reports(written.0, from),
    };
    let reading = Reading {
        reader,
        key,
        at: 0,
        drops,
        reports: reports(read.0, to),
    };
    let work = write_on(world.clone(), writing, rng.fork());
    world.clone().go_on(rng, work);
    let work = read_on(world.clone(), reading, rng.fork());
    world.clone().go_on(rng, work);
    (written.1, read.1, end)
}

fn run(rng: &mut Rng) {
    let world = World::new(rng);
    let pairs = connections(PAIRS);
    let pairs = if rng.bool() {
        world.any(rng).block_on(pairs)
    } else {
        smol::block_on(pairs)
    };
    let mut ends = Vec::new();
    for (client, server) in pairs {
        let (near, far) = (bounded(1), bounded(1));
        let (to, from) = ((client.writer, &near), (server.reader, &far));
        ends.push(start(&world, rng, to, from));
        let (to, from) = ((server.writer, &far), (client.reader, &near));
        ends.push(start(&world, rng, to, from));
    }
    // In half of the rounds nothing is dropped, and everything has to arrive.
    let loses = rng.bool();
    let (replacing, mut theirs) = (world.clone(), rng.fork());
    let replacer = thread::spawn(move || {
        for _ in 0..if loses { 6 } else { 0 } {
            thread::sleep(Duration::from_millis(theirs.u64(1..30)));
            replacing.replace(&mut theirs);
        }
    });
    let ended = async {
        let mut ended = Vec::new();
        for (written, read_to, length) in ends {
            let end = async |ends: Receiver<End>| ends.recv().await.expect("it reports");
            ended.push((end(written).await, end(read_to).await, length));
        }
        ended
    };
    let late = async {
        Timer::after(TIMEOUT).await;
        panic!("some half never ended");
    };
    let ended = smol::block_on(ended.or(late));
    replacer.join().unwrap_or_else(|panic| resume_unwind(panic));
    for connection in ended.chunks(2) {
        check(connection, loses);
    }
}

/// Both directions of a connection: the ends of the writer and of the reader, and the length.
fn check(directions: &[(End, End, usize)], loses: bool) {
    let ends = || directions.iter().flat_map(|(from, to, _)| [from, to]);
    let wrong = ends().any(|end| matches!(end, End::Wrong(_)));
    assert!(!wrong, "{directions:?}");
    assert!(
        loses || ends().all(|end| *end != End::Lost),
        "{directions:?}"
    );
    // A socket that is closed with unread input resets the other direction, too.
    if !ends().any(|end| matches!(end, End::Dropped | End::Lost)) {
        for (from, to, length) in directions {
            assert_eq!((from, to), (&End::Written(*length), &End::Read(*length)));
        }
    }
}
