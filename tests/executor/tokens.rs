//! Random tasks on eight threads. Each token that is passed on is a wake-up, and a lost token is a
//! hang. `HALVES_SEED=5` repeats a failure, as far as threads allow.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError, mpsc};
use std::task::Waker;

use fastrand::Rng;
use halves::Clock;

use super::*;

use crate::support::seed::seed;

const THREADS: usize = 8;
const TASKS: usize = 48;
const TOKENS: usize = 24;
const HOPS: usize = 400;
/// Longer than a worker may spend in one task before other workers take its queue.
const LONG_WORK_TIME: Duration = Duration::from_millis(3);

/// Tokens for one task. Each is the number of hops that are left.
#[derive(Default)]
struct Mailbox {
    tokens: Mutex<Vec<usize>>,
    waker: Mutex<Option<Waker>>,
}

struct World {
    ex: Executor,
    mailboxes: Arc<[Mailbox]>,
    /// Delivers a token to a task, on a thread of its own.
    delivery: mpsc::Sender<(usize, usize)>,
    ended: channel::Sender<()>,
}

impl Mailbox {
    fn post(&self, hops: usize) {
        lock(&self.tokens).push(hops);
        let waker = lock(&self.waker).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn take(&self) -> usize {
        poll_fn(|cx| {
            *lock(&self.waker) = Some(cx.waker().clone());
            lock(&self.tokens).pop().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// Writes back what it reads.
async fn echo(mut server: Connection) {
    let mut buf = [0; 64];
    while let Ok(read @ 1..) = server.reader.read(&mut buf).await {
        server
            .writer
            .write_all(&buf[..read])
            .await
            .expect("written");
    }
}

/// Passes tokens on, each after some work.
async fn pass_on(world: Arc<World>, me: usize, mut client: Connection, mut rng: Rng) {
    loop {
        let hops = world.mailboxes[me].take().await;
        match rng.u8(..64) {
            0 => thread::sleep(LONG_WORK_TIME * rng.u32(1..4)),
            1..5 => {
                let short = Duration::from_micros(rng.u64(..500));
                Clock::default().sleep(short).await;
            }
            5..9 => {
                // Blocks its thread for some hundred microseconds.
                (0..rng.u32(..200_000)).for_each(|n| {
                    black_box(n);
                });
            }
            9..13 => world.ex.spawn(yield_now()).await,
            13..17 => {
                let inner = Executor::new();
                inner.block_on(Clock::default().sleep(Duration::from_micros(50)));
            }
            17..21 => smol::unblock(|| ()).await,
            21..33 => yield_now().await,
            33..41 => {
                let mut buf = [0; 5];
                client.writer.write_all(b"token").await.expect("written");
                client.reader.read_exact(&mut buf).await.expect("read");
                assert_eq!(&buf, b"token");
            }
            _ => {}
        }
        let to = rng.usize(..TASKS);
        match hops.checked_sub(1) {
            Some(hops) if rng.u8(..8) == 0 => world.delivery.send((to, hops)).expect("received"),
            Some(hops) => world.mailboxes[to].post(hops),
            None => world.ended.send(()).await.expect("received"),
        }
    }
}

#[test]
fn no_token_is_lost() {
    run(seed());
}

fn run(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let ex = threads(THREADS);
    let (ended, ends) = channel::unbounded();
    let mailboxes: Arc<[_]> = (0..TASKS).map(|_| Mailbox::default()).collect();
    let (delivery, deliveries) = mpsc::channel();
    let delivering = thread::spawn({
        let mailboxes = mailboxes.clone();
        move || {
            for (to, hops) in deliveries {
                let mailbox: &Mailbox = &mailboxes[to];
                mailbox.post(hops);
            }
        }
    });
    let world = Arc::new(World {
        ex: ex.clone(),
        mailboxes: mailboxes.clone(),
        delivery,
        ended,
    });
    let tasks = (0..TASKS).map(|me| {
        let (client, server) = ex.block_on(in_time(pair()));
        ex.spawn(echo(server)).detach();
        ex.spawn(pass_on(world.clone(), me, client, rng.fork()))
    });
    let tasks: Vec<_> = tasks.collect();
    for _ in 0..TOKENS {
        mailboxes[rng.usize(..TASKS)].post(HOPS);
    }
    ex.block_on(in_time(async {
        for _ in 0..TOKENS {
            ends.recv().await.expect("one has ended");
        }
        for task in tasks {
            task.cancel().await;
        }
    }));
    drop(world);
    delivering.join().expect("it has brought all");
    let left = mailboxes.iter().map(|mailbox| lock(&mailbox.tokens).len());
    assert_eq!(left.sum::<usize>(), 0);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
