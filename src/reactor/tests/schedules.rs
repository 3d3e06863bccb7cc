//! Random lives of sleepers on three threads, in lockstep with a plain model of them, which says
//! at each step who was woken how often. `HALVES_SEED=5` runs what a failure has printed.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use fastrand::Rng;

use super::super::Alarm;
use super::*;

const THREADS: usize = 3;
const ALARMS: usize = 24;
const STEPS: usize = 20_000;
const SECOND: Duration = Duration::from_secs(1);

/// What a thread is told to do; the reactors that it drives, one within the other, are its own.
type Order = Box<dyn FnOnce(&mut Vec<Driver>) + Send>;

/// A thread that does one thing at a time, while the others wait.
struct Hand {
    orders: Sender<Order>,
    done: Receiver<()>,
}

impl Hand {
    fn start() -> Self {
        let (orders, told) = mpsc::channel::<Order>();
        let (says, done) = mpsc::channel();
        thread::spawn(move || {
            let mut drivers = Vec::new();
            for order in told {
                order(&mut drivers);
                let _ = says.send(());
            }
            while drivers.pop().is_some() {}
        });
        Self { orders, done }
    }

    /// What `call` comes to there.
    fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Vec<Driver>) -> T + Send + 'static,
    ) -> T {
        let (says, heard) = mpsc::channel();
        let order: Order = Box::new(move |drivers| {
            let _ = says.send(call(drivers));
        });
        self.orders.send(order).expect("it listens");
        self.done.recv_timeout(WAIT_TIMEOUT).expect("done");
        heard.recv().expect("said")
    }
}

/// An alarm, and what is expected of it.
struct Slept {
    /// None while a thread has it.
    alarm: Option<Alarm>,
    deadline: Instant,
    /// The thread, and the reactor there, by which it is to be woken.
    waits: Option<(usize, usize)>,
    woken: Arc<Woken>,
    times: usize,
}

impl Slept {
    fn new(deadline: Instant) -> Self {
        Self {
            alarm: Some(Alarm::new(deadline)),
            deadline,
            waits: None,
            woken: Arc::default(),
            times: 0,
        }
    }
}

struct Model {
    rng: Rng,
    now: Instant,
    hands: Vec<Hand>,
    /// How many reactors each thread drives.
    depths: [usize; THREADS],
    slept: Vec<Slept>,
}

impl Model {
    fn step(&mut self) {
        let here = self.rng.usize(..THREADS);
        let at = self.rng.usize(..ALARMS);
        match self.rng.u8(..100) {
            0..45 => self.poll(here, at),
            45..60 => self.drop(here, at),
            60..80 => self.turn(here),
            80..88 if self.depths[here] < 3 => {
                self.hands[here].run(|drivers| drivers.push(driven()));
                self.depths[here] += 1;
            }
            80..94 => self.leave(here),
            _ => self.now += SECOND * self.rng.u32(..4),
        }
        for slept in &self.slept {
            assert_eq!(slept.woken.times(), slept.times);
        }
    }

    fn poll(&mut self, here: usize, at: usize) {
        let (now, anew) = (self.now, self.rng.u8(..4) == 0);
        let slept = &mut self.slept[at];
        if anew {
            // By another task.
            (slept.woken, slept.times) = (Arc::default(), 0);
        }
        let mut alarm = slept.alarm.take().expect("it is not under way");
        let waker = Waker::from(slept.woken.clone());
        let (alarm, polled) = self.hands[here].run(move |_| {
            let polled = alarm.poll(&mut Context::from_waker(&waker), || now);
            (alarm, polled)
        });
        slept.alarm = Some(alarm);
        let place = (here, self.depths[here]);
        let stays = slept.waits == Some(place) && !anew;
        let expected = if stays {
            // However late it is: the clock has not rung.
            Some(Poll::Pending)
        } else if slept.deadline <= now {
            Some(Poll::Ready(()))
        } else {
            (self.depths[here] > 0).then_some(Poll::Pending)
        };
        assert_eq!(polled, expected);
        slept.waits = (expected == Some(Poll::Pending)).then_some(place);
    }

    fn drop(&mut self, here: usize, at: usize) {
        let deadline = self.now + SECOND * self.rng.u32(..10);
        let slept = std::mem::replace(&mut self.slept[at], Slept::new(deadline));
        self.hands[here].run(|_| drop(slept.alarm));
    }

    fn turn(&mut self, here: usize) {
        let now = self.now;
        self.hands[here].run(move |drivers| {
            if let Some(innermost) = drivers.last() {
                innermost.ring_at(now);
            }
        });
        self.wake(here, |slept| slept.deadline <= now);
    }

    fn leave(&mut self, here: usize) {
        self.hands[here].run(|drivers| drop(drivers.pop()));
        self.wake(here, |_| true);
        self.depths[here] = self.depths[here].saturating_sub(1);
    }

    /// Of those that wait for the innermost reactor of a thread.
    fn wake(&mut self, here: usize, which: impl Fn(&Slept) -> bool) {
        let place = (here, self.depths[here]);
        for slept in &mut self.slept {
            if slept.waits == Some(place) && which(slept) {
                (slept.waits, slept.times) = (None, slept.times + 1);
            }
        }
    }
}

#[test]
fn every_sleeper_is_woken_when_the_model_says() {
    let seed = env::var("HALVES_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("a number"),
    );
    let run = catch_unwind(AssertUnwindSafe(|| live(seed)));
    assert!(run.is_ok(), "HALVES_SEED={seed}");
}

fn live(seed: u64) {
    let now = Instant::now();
    let mut model = Model {
        rng: Rng::with_seed(seed),
        now,
        hands: (0..THREADS).map(|_| Hand::start()).collect(),
        depths: [0; THREADS],
        slept: (0..ALARMS).map(|_| Slept::new(now)).collect(),
    };
    for _ in 0..STEPS {
        model.step();
    }
    // At the end, nothing is left of any.
    for here in 0..THREADS {
        while model.depths[here] > 0 {
            model.leave(here);
        }
    }
    for slept in model.slept {
        assert_eq!(Arc::strong_count(&slept.woken), 1);
    }
}
