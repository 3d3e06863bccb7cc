//! Random tasks on eight threads: each token that is passed on is a wake, and one that is lost is a
//! hang. `HALVES_SEED=5` runs what a failure has printed, as far as threads allow.

use std::env;
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use fastrand::Rng;
use halves::Clock;

use super::*;

const THREADS: usize = 8;
const TASKS: usize = 48;
const TOKENS: usize = 24;
const HOPS: usize = 400;

/// Tokens for one task, each with the hops that it has left.
#[derive(Default)]
struct Mailbox {
    tokens: Mutex<Vec<usize>>,
    waker: Mutex<Option<Waker>>,
}

struct World {
    ex: Executor,
    mailboxes: Vec<Mailbox>,
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

/// Passes tokens on, each after something that takes a while.
async fn pass_on(world: Arc<World>, me: usize, mut rng: Rng) {
    loop {
        let hops = world.mailboxes[me].take().await;
        match rng.u8(..16) {
            0 => {
                let short = Duration::from_micros(rng.u64(..500));
                Clock::default().sleep(short).await;
            }
            1 => {
                // Blocks its thread for some hundred microseconds.
                (0..rng.u32(..200_000)).for_each(|n| {
                    black_box(n);
                });
            }
            2 => world.ex.spawn(yield_now()).await,
            3 => {
                let inner = Executor::new();
                inner.block_on(Clock::default().sleep(Duration::from_micros(50)));
            }
            4 => smol::unblock(|| ()).await,
            5..8 => yield_now().await,
            _ => {}
        }
        match hops.checked_sub(1) {
            Some(hops) => world.mailboxes[rng.usize(..TASKS)].post(hops),
            None => world.ended.send(()).await.expect("heard"),
        }
    }
}

#[test]
fn no_token_is_lost() {
    let seed = env::var("HALVES_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("HALVES_SEED is a number"),
    );
    let run = catch_unwind(|| run(seed));
    assert!(run.is_ok(), "HALVES_SEED={seed}");
}

fn run(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let ex = threads(THREADS);
    let (ended, ends) = channel::unbounded();
    let world = Arc::new(World {
        ex: ex.clone(),
        mailboxes: (0..TASKS).map(|_| Mailbox::default()).collect(),
        ended,
    });
    let tasks = (0..TASKS).map(|me| ex.spawn(pass_on(world.clone(), me, rng.fork())));
    let tasks: Vec<_> = tasks.collect();
    for _ in 0..TOKENS {
        world.mailboxes[rng.usize(..TASKS)].post(HOPS);
    }
    ex.block_on(in_time(async {
        for _ in 0..TOKENS {
            ends.recv().await.expect("one has ended");
        }
        for task in tasks {
            task.cancel().await;
        }
    }));
    let left = world
        .mailboxes
        .iter()
        .map(|mailbox| lock(&mailbox.tokens).len());
    assert_eq!(left.sum::<usize>(), 0);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
