//! Random traffic over Unix sockets on a few threads, with nothing between them and the reactor:
//! small writes are gathered or not, halves move, reactors lose their threads and find others, and a wake that is lost is a hang.
//! `HALVES_SEED=5` runs what a failure has printed, as far as threads allow.

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
const PLACES: usize = 3;
const LENGTH: usize = 200_000;

/// A thread's reactor, and the halves that are on their way to it.
struct Place {
    reactor: Arc<Reactor>,
    inbox: Mutex<Vec<Half>>,
}

struct Half {
    socket: Socket,
    writes: bool,
    at: usize,
    woken: Arc<Wakes>,
}

/// A half that is to be polled, and where.
struct Wakes {
    woken: AtomicBool,
    place: usize,
    world: Arc<World>,
}

struct World {
    places: Vec<Place>,
    /// Threads have one reactor in common.
    shared: bool,
    over: AtomicBool,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.world.places[self.place].reactor.notify();
    }
}

impl World {
    fn new(shared: bool) -> Arc<Self> {
        let common = Reactor::for_group(PLACES).expect("a reactor");
        let reactor = || {
            let own = (!shared).then(|| Reactor::new().expect("a reactor"));
            own.unwrap_or_else(|| common.clone())
        };
        let place = |_| Place {
            reactor: reactor(),
            inbox: Mutex::default(),
        };
        Arc::new(Self {
            places: (0..PLACES).map(place).collect(),
            shared,
            over: AtomicBool::new(false),
        })
    }

    fn send(self: &Arc<Self>, to: usize, mut half: Half) {
        half.woken = Arc::new(Wakes {
            woken: AtomicBool::new(true),
            place: to,
            world: self.clone(),
        });
        lock(&self.places[to].inbox).push(half);
        self.places[to].reactor.notify();
    }
}

fn byte(at: usize) -> u8 {
    (at.wrapping_mul(0x9E37_79B9) >> 7).to_le_bytes()[0]
}

impl Half {
    /// Moves some bytes. True: it has come to its end.
    fn go_on(&mut self, rng: &mut Rng) -> bool {
        let waker = self.woken.clone().into();
        let mut cx = Context::from_waker(&waker);
        for _ in 0..rng.usize(1..8) {
            let n = rng.usize(1..9000);
            let polled = if self.writes {
                let end = (self.at + n).min(LENGTH);
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
            if moved == 0 || self.writes && self.at == LENGTH {
                return true;
            }
        }
        // There may be more, and nobody will say so.
        waker.wake();
        false
    }
}

/// Until all is over: polls what was woken, sends some of it elsewhere, and now and then leaves
/// its reactor and comes back.
fn run(world: &Arc<World>, here: usize, mut rng: Rng, ended: &Sender<usize>) {
    let place = &world.places[here];
    let mut halves = Vec::new();
    while !world.over.load(Ordering::SeqCst) {
        let driver = if world.shared {
            place.reactor.join(here)
        } else {
            place.reactor.drive().expect("nobody else drives it")
        };
        for _ in 0..rng.usize(1..200) {
            driver.take_notification();
            halves.append(&mut lock(&place.inbox));
            let mut at = 0;
            while at < halves.len() {
                let half: &mut Half = &mut halves[at];
                if !half.woken.woken.swap(false, Ordering::SeqCst) {
                    at += 1;
                    continue;
                }
                if half.go_on(&mut rng) {
                    let half = halves.swap_remove(at);
                    let end = half.at;
                    // The last one closes the socket, and the peer hears of it.
                    drop(half);
                    ended.send(end).expect("heard");
                } else if rng.u8(..4) == 0 {
                    world.send(rng.usize(..PLACES), halves.swap_remove(at));
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
                    || !lock(&place.inbox).is_empty();
                work.then_some(Duration::ZERO)
            };
            let turned = driver.try_turn(wait, no_sleeps).expect("turned");
            if turned.is_none() {
                thread::yield_now();
            }
        }
    }
    // The halves that are left are the cause of a failure.
    lock(&place.inbox).clear();
}

#[test]
fn no_wake_is_lost_however_halves_and_reactors_move() {
    storm(false);
}

#[test]
fn no_wake_is_lost_where_threads_share_a_reactor() {
    storm(true);
}

fn storm(shared: bool) {
    let seed = env::var("HALVES_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("a number"),
    );
    let mut rng = Rng::with_seed(seed);
    let world = World::new(shared);
    let (ended, heard) = mpsc::channel();
    for _ in 0..PAIRS {
        let (from, to) = pair();
        to.set_nonblocking(true).expect("set");
        for (socket, writes) in [(from, true), (Socket::new(to.into()), false)] {
            let woken = Arc::new(Wakes {
                woken: AtomicBool::new(true),
                place: 0,
                world: world.clone(),
            });
            let half = Half {
                socket,
                writes,
                at: 0,
                woken,
            };
            world.send(rng.usize(..PLACES), half);
        }
    }
    let threads: Vec<_> = (0..PLACES)
        .map(|here| {
            let (world, rng, ended) = (world.clone(), rng.fork(), ended.clone());
            thread::spawn(move || run(&world, here, rng, &ended))
        })
        .collect();
    let ends: Vec<_> = (0..2 * PAIRS)
        .map_while(|_| heard.recv_timeout(WAIT_TIMEOUT).ok())
        .collect();
    world.over.store(true, Ordering::SeqCst);
    for place in &world.places {
        place.reactor.notify();
    }
    let seed = format!("HALVES_SEED={seed}");
    for thread in threads {
        thread.join().expect(&seed);
    }
    assert_eq!(ends, [LENGTH; 2 * PAIRS], "{seed}");
    for place in &world.places {
        assert!(lock(&place.reactor.registrations).is_empty(), "{seed}");
    }
}
