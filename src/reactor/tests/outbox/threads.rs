//! One thread writes, another reads the same socket, which flushes it, and a third reads from the
//! peer: no byte is lost, doubled or out of order, and no task waits for ever. `HALVES_SEED=5`
//! repeats the run that a failure has printed, as far as threads allow.

use std::env;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread;

use fastrand::Rng;
use rustix::net::sockopt;

use super::*;

const ROUNDS: usize = 24;
/// The time after which no new round begins: a slow machine runs fewer rounds.
const MAX_TEST_TIME: Duration = Duration::from_secs(3);
const LENGTH: usize = 400_000;

/// A waker that wakes the loop of a thread.
struct LoopWaker {
    woken: AtomicBool,
    reactor: Arc<Reactor>,
}

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.reactor.notify();
    }
}

fn byte(at: usize) -> u8 {
    (at.wrapping_mul(0x9E37_79B9) >> 7).to_le_bytes()[0]
}

/// Writes all bytes, in pieces of many sizes, and ends a turn now and then.
#[allow(clippy::needless_pass_by_value, reason = "dropped when all is written")]
fn write(socket: Socket, mut rng: Rng) {
    let driver = driven();
    let loop_waker = Arc::new(LoopWaker {
        woken: AtomicBool::new(false),
        reactor: driver.reactor.clone(),
    });
    let waker = loop_waker.clone().into();
    let mut cx = Context::from_waker(&waker);
    let mut at = 0;
    while at < LENGTH {
        let most = [20, 2000, 40_000][rng.usize(..3)];
        let end = (at + rng.usize(1..most)).min(LENGTH);
        let piece: Vec<_> = (at..end).map(byte).collect();
        let polled = match rng.u8(..8) {
            0 => flush(&socket, &waker).map_ok(|()| 0),
            1 => socket.poll_write(&mut cx, &piece),
            _ => socket.poll_write_gathered(&mut cx, &[IoSlice::new(&piece)]),
        };
        match polled {
            Poll::Ready(written) => at += written.expect("written"),
            Poll::Pending => {
                // A cancelled write has written nothing.
                while rng.u8(..8) > 0 && !loop_waker.woken.swap(false, Ordering::SeqCst) {
                    driver.take_notification();
                    driver.end_turn();
                    let notified = driver.is_notified() || rng.u8(..4) == 0;
                    let wait = notified.then_some(Duration::ZERO);
                    driver.turn(|| wait, no_alarms).expect("turned");
                }
            }
        }
        if rng.u8(..4) == 0 {
            driver.end_turn();
            driver.turn_once();
        }
    }
}

/// Polls for reads that never succeed, which flushes, with a reactor of this thread or without.
fn read_nothing(socket: &Socket, over: &AtomicBool, rng: &mut Rng) {
    let mut driver = None;
    while !over.load(Ordering::SeqCst) {
        for _ in 0..rng.usize(1..50) {
            let mut cx = Context::from_waker(Waker::noop());
            let read = socket.poll_read(&mut cx, &mut [0; 8]);
            assert!(read.is_pending(), "{read:?}");
            if let Some(driver) = &driver {
                Driver::turn_once(driver);
            }
            thread::yield_now();
        }
        driver = rng.bool().then(driven);
    }
}

/// Reads all bytes from the peer, and returns their number, or the first difference.
fn take(mut peer: UnixStream, mut rng: Rng) -> Result<usize, String> {
    let (mut at, mut buf) = (0, vec![0; 70_000]);
    loop {
        let room = rng.usize(1..buf.len());
        match peer.read(&mut buf[..room]) {
            Ok(0) => return Ok(at),
            Ok(n) => {
                let wrong = (0..n).find(|&here| buf[here] != byte(at + here));
                if let Some(wrong) = wrong {
                    return Err(format!("wrong byte at {}", at + wrong));
                }
                at += n;
            }
            Err(error) => return Err(format!("after {at} bytes: {error}")),
        }
        if rng.bool() {
            thread::yield_now();
        }
    }
}

#[test]
fn bytes_gathered_on_one_thread_and_flushed_on_others_arrive_once_and_in_order() {
    let seed = env::var("HALVES_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("a number"),
    );
    let mut rng = Rng::with_seed(seed);
    let start = Instant::now();
    for _ in (0..ROUNDS).take_while(|_| start.elapsed() < MAX_TEST_TIME) {
        let (socket, peer) = pair();
        if rng.bool() {
            sockopt::set_socket_send_buffer_size(&socket, 8192).expect("set");
        }
        let source = weak(&socket);
        let over = Arc::new(AtomicBool::new(false));
        let (writes, mut reads, takes) = (rng.fork(), rng.fork(), rng.fork());
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(take(peer, takes)));
        let (reader, until) = (socket.clone(), over.clone());
        let reading = thread::spawn(move || read_nothing(&reader, &until, &mut reads));
        let early = rng.bool();
        let writing = thread::spawn(move || write(socket, writes));
        if early {
            // The writer drops the last handle.
            over.store(true, Ordering::SeqCst);
        } else {
            // A writer that has not written all by then is stuck.
            while !writing.is_finished() && start.elapsed() < WAIT_TIMEOUT {
                thread::yield_now();
            }
            over.store(true, Ordering::SeqCst);
        }
        let taken = receiver.recv_timeout(WAIT_TIMEOUT * 2).expect("read");
        assert_eq!(taken, Ok(LENGTH), "HALVES_SEED={seed}");
        writing.join().expect("written");
        reading.join().expect("nothing was read");
        // async-io may not have dropped its reference yet.
        while source.upgrade().is_some() {
            assert!(start.elapsed() < WAIT_TIMEOUT, "HALVES_SEED={seed}");
            thread::yield_now();
        }
    }
}

/// The peer reads all the time, another thread of the group gets the events, and this one waits.
#[test]
fn room_that_appears_while_a_task_begins_to_wait_is_not_missed() {
    let (socket, peer) = pair();
    sockopt::set_socket_send_buffer_size(&socket, 4096).expect("set");
    let (over, reads) = (Arc::new(AtomicBool::new(false)), socket.clone());
    let (until, (sender, receiver)) = (over.clone(), mpsc::channel());
    let ours = Reactor::for_group(2).expect("a reactor");
    let theirs = ours.clone();
    let turning = thread::spawn(move || {
        let driver = theirs.join(0);
        assert!(read(reads.owner(), 8, &mut 0).is_pending());
        sender.send(driver.reactor.clone()).expect("received");
        while !until.load(Ordering::SeqCst) {
            driver.turn_once();
        }
    });
    let taking = thread::spawn(move || take(peer, Rng::with_seed(1)));
    let reactor = receiver.recv_timeout(WAIT_TIMEOUT).expect("registered");
    let _driver = ours.join(1);
    let woken = Arc::new(WakeCount::default());
    let waker = woken.clone().into();
    let (start, mut at, mut waits) = (Instant::now(), 0, 0);
    while waits < 2_000 && (waits == 0 || start.elapsed() < Duration::from_secs(1)) {
        let before = woken.times();
        let piece: Vec<_> = (at..at + 3000).map(byte).collect();
        put(&socket, &piece);
        at += piece.len();
        if flush(&socket, &waker).is_pending() {
            waits += 1;
            while woken.times() == before {
                assert!(start.elapsed() < WAIT_TIMEOUT, "after {waits} waits");
                thread::yield_now();
            }
        }
    }
    over.store(true, Ordering::SeqCst);
    reactor.notify();
    turning.join().expect("turned");
    drop(socket);
    assert_eq!(taking.join().expect("read"), Ok(at));
}
