//! Random traffic over Unix sockets on a few threads, directly on the reactor: small writes are
//! gathered or not, halves move between threads, and threads leave their reactors and come back. A
//! lost wake is a hang. `HALVES_SEED=5` repeats the run that a failure has printed, as far as
//! threads allow.

use std::env;
use std::io::IoSlice;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Sender};
use std::thread;

use fastrand::Rng;

use super::super::lock;
use super::*;

const PAIRS: usize = 40;
const WORKERS: usize = 3;
const LENGTH_BYTES: usize = 200_000;

/// A thread's reactor, and the halves that are sent to the thread.
struct Worker {
    reactor: Arc<Reactor>,
    inbox: Mutex<Vec<Half>>,
}

struct Half {
    socket: Socket,
    writes: bool,
    at: usize,
    woken: Arc<HalfWaker>,
}

/// The waker of a half, and the worker that polls it.
struct HalfWaker {
    woken: AtomicBool,
    worker: usize,
    world: Arc<World>,
}

struct World {
    workers: Vec<Worker>,
    /// All threads share one reactor.
    shared: bool,
    over: AtomicBool,
}

impl Wake for HalfWaker {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.world.workers[self.worker].reactor.notify();
    }
}

impl World {
    fn new(shared: bool) -> Arc<Self> {
        let common = Reactor::for_group(WORKERS).expect("a reactor");
        let reactor = || {
            let own = (!shared).then(|| Reactor::new().expect("a reactor"));
            own.unwrap_or_else(|| common.clone())
        };
        let worker = |_| Worker {
            reactor: reactor(),
            inbox: Mutex::default(),
        };
        Arc::new(Self {
            workers: (0..WORKERS).map(worker).collect(),
            shared,
            over: AtomicBool::new(false),
        })
    }

    fn send(self: &Arc<Self>, to: usize, mut half: Half) {
        half.woken = Arc::new(HalfWaker {
            woken: AtomicBool::new(true),
            worker: to,
            world: self.clone(),
        });
        lock(&self.workers[to].inbox).push(half);
        self.workers[to].reactor.notify();
    }
}

fn byte(at: usize) -> u8 {
    (at.wrapping_mul(0x9E37_79B9) >> 7).to_le_bytes()[0]
}

impl Half {
    /// Moves some bytes, and returns true at the end.
    fn advance(&mut self, rng: &mut Rng) -> bool {
        let waker = self.woken.clone().into();
        let mut cx = Context::from_waker(&waker);
        for _ in 0..rng.usize(1..8) {
            let n = rng.usize(1..9000);
            let polled = if self.writes {
                let end = (self.at + n).min(LENGTH_BYTES);
                let part: Vec<_> = (self.at..end).map(byte).collect();
                if rng.bool() {
                    let bufs = [IoSlice::new(&part)];
                    self.socket.poll_write_gathered(&mut cx, &bufs)
                } else {
                    self.socket.poll_write(&mut cx, &part)
                }
            } else {
                let mut buf = vec![0; n];
                let polled = self.socket.poll_read(&mut cx, &mut buf);
                if let Poll::Ready(Ok(n)) = polled {
                    for (at, &got) in buf[..n].iter().enumerate() {
                        assert_eq!(got, byte(self.at + at));
                    }
                }
                polled
            };
            let Poll::Ready(moved) = polled else {
                return false;
            };
            let moved = moved.expect("moved");
            self.at += moved;
            if moved == 0 || self.writes && self.at == LENGTH_BYTES {
                return true;
            }
        }
        // There may be more, for which no event comes.
        waker.wake();
        false
    }
}

/// Polls woken halves, sends some of them to other threads, and now and then leaves the reactor and
/// comes back, until all halves have ended.
fn run(world: &Arc<World>, here: usize, mut rng: Rng, ended: &Sender<usize>) {
    let worker = &world.workers[here];
    let mut halves = Vec::new();
    while !world.over.load(Ordering::SeqCst) {
        let driver = if world.shared {
            worker.reactor.join(here)
        } else {
            worker.reactor.drive().expect("not driven")
        };
        for _ in 0..rng.usize(1..200) {
            driver.take_notification();
            halves.append(&mut lock(&worker.inbox));
            let mut at = 0;
            while at < halves.len() {
                let half: &mut Half = &mut halves[at];
                if !half.woken.woken.swap(false, Ordering::SeqCst) {
                    at += 1;
                    continue;
                }
                if half.advance(&mut rng) {
                    let half = halves.swap_remove(at);
                    let end = half.at;
                    // The last half closes the socket, which ends the input of the peer.
                    drop(half);
                    ended.send(end).expect("received");
                } else if rng.u8(..4) == 0 {
                    world.send(rng.usize(..WORKERS), halves.swap_remove(at));
                } else {
                    at += 1;
                }
            }
            if world.over.load(Ordering::SeqCst) {
                break;
            }
            driver.end_turn();
            let wait = || {
                let is_woken = |half: &Half| half.woken.woken.load(Ordering::SeqCst);
                let work = driver.is_notified()
                    || halves.iter().any(is_woken)
                    || !lock(&worker.inbox).is_empty();
                work.then_some(Duration::ZERO)
            };
            let turned = driver.try_turn(wait, no_alarms).expect("turned");
            if turned.is_none() {
                thread::yield_now();
            }
        }
    }
    // Halves are left only if the test has failed.
    lock(&worker.inbox).clear();
}

#[test]
fn no_wake_is_lost_when_halves_and_reactors_move() {
    storm(false);
}

#[test]
fn no_wake_is_lost_when_threads_share_a_reactor() {
    storm(true);
}

fn storm(shared: bool) {
    let seed = env::var("HALVES_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("a number"),
    );
    let mut rng = Rng::with_seed(seed);
    let world = World::new(shared);
    let (ended, ends) = mpsc::channel();
    for _ in 0..PAIRS {
        let (from, to) = pair();
        to.set_nonblocking(true).expect("set");
        for (socket, writes) in [(from, true), (Socket::new(to.into()), false)] {
            let woken = Arc::new(HalfWaker {
                woken: AtomicBool::new(true),
                worker: 0,
                world: world.clone(),
            });
            let half = Half {
                socket,
                writes,
                at: 0,
                woken,
            };
            world.send(rng.usize(..WORKERS), half);
        }
    }
    let threads: Vec<_> = (0..WORKERS)
        .map(|here| {
            let (world, rng, ended) = (world.clone(), rng.fork(), ended.clone());
            thread::spawn(move || run(&world, here, rng, &ended))
        })
        .collect();
    let ends: Vec<_> = (0..2 * PAIRS)
        .map_while(|_| ends.recv_timeout(WAIT_TIMEOUT).ok())
        .collect();
    world.over.store(true, Ordering::SeqCst);
    for worker in &world.workers {
        worker.reactor.notify();
    }
    let seed = format!("HALVES_SEED={seed}");
    for thread in threads {
        thread.join().expect(&seed);
    }
    assert_eq!(ends, [LENGTH_BYTES; 2 * PAIRS], "{seed}");
    for worker in &world.workers {
        assert!(lock(&worker.reactor.registrations).is_empty(), "{seed}");
    }
}
