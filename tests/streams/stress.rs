//! Random traffic over sockets whose halves move between executors, threads and runtimes while
//! it goes on, and are dropped in the middle, with executors that come and go. Whatever arrives is
//! a beginning of what was sent, and all of it where nobody was dropped.
//!
//! `HALVES_SEED=5 cargo test --test streams stress` runs what a failure has printed, as far as threads
//! allow.

use std::env;
use std::io::{self, ErrorKind};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;
use futures_lite::future::{block_on, poll_once, yield_now};
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};
use halves::{Connection, Executor, Listener, Reader, Writer};
use smol::Timer;
use smol::channel::{Receiver, Sender, bounded};

const PATIENCE: Duration = Duration::from_secs(30);
const ROUNDS: usize = 30;
/// On a slow machine there are fewer rounds.
const ENOUGH: Duration = Duration::from_secs(6);
const PAIRS: usize = 24;
/// Bytes that a writer has, at most.
const LONGEST: usize = 300_000;

#[test]
fn what_is_sent_arrives_however_halves_move() {
    let seed = env::var("HALVES_SEED")
        .ok()
        .map_or_else(fresh, |seed| seed.parse().expect("HALVES_SEED is a number"));
    // Captured, unless the test fails.
    #[allow(
        clippy::print_stdout,
        reason = "it is for whoever reads of the failure"
    )]
    {
        println!("HALVES_SEED={seed}");
    }
    let mut rng = Rng::with_seed(seed);
    let start = Instant::now();
    let rounds = (0..ROUNDS).take_while(|_| start.elapsed() < ENOUGH);
    for _ in rounds {
        run(&mut rng.fork());
    }
}

fn fresh() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("after 1970").subsec_nanos().into()
}

/// Where halves live and move. An executor that is replaced takes its tasks with it.
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

    /// Puts a new one in the place of one of them.
    fn replace(&self, rng: &mut Rng) {
        let new = threads(rng.usize(2..=3));
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let at = rng.usize(..places.len());
        let old = std::mem::replace(&mut places[at], new);
        drop(places);
        drop(old);
    }

    /// Goes on with something somewhere else: in a task of another executor, on a thread that
    /// drives one for it alone, or on one that drives none.
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

/// How one direction has ended.
#[derive(Debug, PartialEq)]
enum End {
    /// The reader had so much, and then the end of input.
    Read(usize),
    /// The writer has closed after so much.
    Written(usize),
    /// The half was dropped on purpose, or has heard that the peer was.
    Dropped,
    /// The executor went, and the task with it.
    Lost,
    /// The reader had something else than was sent there.
    Wrong(usize),
}

/// Says how a half has ended, also when it is dropped.
struct Says {
    to: Sender<End>,
    end: End,
    /// Closed when a half goes before its time. Then the other half of the same socket goes, too,
    /// which closes it, and the peer hears of that by itself.
    side: Side,
}

type Side = (Sender<()>, Receiver<()>);

impl Says {
    fn end(mut self, end: End) {
        self.end = end;
    }

    /// What `half` does, as long as the other half is there.
    async fn unless_gone<T>(&self, half: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let gone = async {
            let _ = self.side.1.recv().await;
            Err(ErrorKind::ConnectionReset.into())
        };
        half.or(gone).await
    }
}

impl Drop for Says {
    fn drop(&mut self) {
        if !matches!(self.end, End::Read(_) | End::Written(_)) {
            self.side.0.close();
        }
        let _ = self
            .to
            .try_send(std::mem::replace(&mut self.end, End::Lost));
    }
}

/// What stands at a place of the stream.
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
    says: Says,
}

struct Reading {
    reader: Reader,
    key: usize,
    at: usize,
    drops: bool,
    says: Says,
}

/// Writes a part, and leaves the rest to another place.
async fn write(world: Arc<World>, mut half: Writing, mut rng: Rng) {
    for _ in 0..rng.usize(1..12) {
        let n = rng.usize(1..=20_000).min(half.end - half.at);
        let part: Vec<_> = (half.at..half.at + n)
            .map(|at| byte(half.key, at))
            .collect();
        let written = half.says.unless_gone(half.writer.write_all(&part)).await;
        if written.is_err() {
            return half.says.end(End::Dropped);
        }
        half.at += n;
        if half.at == half.end {
            let closed = half.writer.close().await;
            let end = closed.map_or(End::Dropped, |()| End::Written(half.at));
            return half.says.end(end);
        }
        pause(&mut rng).await;
    }
    if half.drops && rng.u8(..4) == 0 {
        return half.says.end(End::Dropped);
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
        // Now and then a read is begun and given up: it has taken nothing.
        let begun = match rng.u8(..4) {
            0 => poll_once(half.reader.read(&mut buf)).await,
            _ => None,
        };
        let read: io::Result<usize> = match begun {
            Some(read) => read,
            None => half.says.unless_gone(half.reader.read(&mut buf)).await,
        };
        match read {
            Ok(0) => return half.says.end(End::Read(half.at)),
            Ok(n) => {
                for &got in &buf[..n] {
                    if got != byte(half.key, half.at) {
                        return half.says.end(End::Wrong(half.at));
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
                return half.says.end(end);
            }
        }
        pause(&mut rng).await;
    }
    if half.drops && rng.u8(..4) == 0 {
        return half.says.end(End::Dropped);
    }
    let next = rng.fork();
    world.clone().go_on(&mut rng, read_on(world, half, next));
}

fn read_on(world: Arc<World>, half: Reading, rng: Rng) -> smol::future::Boxed<()> {
    Box::pin(read(world, half, rng))
}

/// Wakes from the same thread, from a timer's, from another one, or none.
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

/// Sends both halves of one direction off, and returns where they say how they have ended.
fn start(
    world: &Arc<World>,
    rng: &mut Rng,
    (writer, from): (Writer, &Side),
    (reader, to): (Reader, &Side),
) -> (Receiver<End>, Receiver<End>, usize) {
    let (written, read) = (bounded(1), bounded(1));
    let (key, end, drops) = (rng.usize(..), rng.usize(1..LONGEST), rng.u8(..8) == 0);
    let says = |to, side: &Side| Says {
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
        says: says(written.0, from),
    };
    let reading = Reading {
        reader,
        key,
        at: 0,
        drops,
        says: says(read.0, to),
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
    // In half of the rounds nobody is lost, and all has to arrive.
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
            let end = async |ends: Receiver<End>| ends.recv().await.expect("it says");
            ended.push((end(written).await, end(read_to).await, length));
        }
        ended
    };
    let late = async {
        Timer::after(PATIENCE).await;
        panic!("some half never ended");
    };
    let ended = smol::block_on(ended.or(late));
    replacer.join().unwrap_or_else(|panic| resume_unwind(panic));
    for connection in ended.chunks(2) {
        check(connection, loses);
    }
}

/// Both directions of a connection: how the writer, and how the reader ended, and the length.
fn check(directions: &[(End, End, usize)], loses: bool) {
    let ends = || directions.iter().flat_map(|(from, to, _)| [from, to]);
    let wrong = ends().any(|end| matches!(end, End::Wrong(_)));
    assert!(!wrong, "{directions:?}");
    assert!(
        loses || ends().all(|end| *end != End::Lost),
        "{directions:?}"
    );
    // A socket that is closed before all was read resets the other direction as well.
    if !ends().any(|end| matches!(end, End::Dropped | End::Lost)) {
        for (from, to, length) in directions {
            assert_eq!((from, to), (&End::Written(*length), &End::Read(*length)));
        }
    }
}
