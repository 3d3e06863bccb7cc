//! Random operations on alarms on three threads, in lockstep with a simple model, which has the
//! expected number of wakes of each alarm at each step. `HALVES_SEED=5` repeats the run that a
//! failure has printed.

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

/// An operation to run on a thread, with the reactors that the thread drives, one within the other.
type Operation = Box<dyn FnOnce(&mut Vec<Driver>) + Send>;

/// A thread that runs one operation at a time, while the others wait.
struct Lockstep {
    operations: Sender<Operation>,
    done: Receiver<()>,
}

impl Lockstep {
    fn start() -> Self {
        let (operations, receiver) = mpsc::channel::<Operation>();
        let (sender, done) = mpsc::channel();
        thread::spawn(move || {
            let mut drivers = Vec::new();
            for operation in receiver {
                operation(&mut drivers);
                let _ = sender.send(());
            }
            while drivers.pop().is_some() {}
        });
        Self { operations, done }
    }

    /// Runs `call` on the thread, and returns its result.
    fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Vec<Driver>) -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = mpsc::channel();
        let operation: Operation = Box::new(move |drivers| {
            let _ = sender.send(call(drivers));
        });
        self.operations.send(operation).expect("the thread runs");
        self.done.recv_timeout(WAIT_TIMEOUT).expect("done");
        receiver.recv().expect("a result")
    }
}

/// An alarm, and its expected state.
struct ModelAlarm {
    /// None while a thread polls it.
    alarm: Option<Alarm>,
    deadline: Instant,
    /// The thread, and the depth of the reactor there, that will wake it.
    waits: Option<(usize, usize)>,
    woken: Arc<WakeCount>,
    times: usize,
}

impl ModelAlarm {
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
    threads: Vec<Lockstep>,
    /// The number of reactors that each thread drives.
    depths: [usize; THREADS],
    alarms: Vec<ModelAlarm>,
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
                self.threads[here].run(|drivers| drivers.push(driven()));
                self.depths[here] += 1;
            }
            80..94 => self.leave(here),
            _ => self.now += SECOND * self.rng.u32(..4),
        }
        for entry in &self.alarms {
            assert_eq!(entry.woken.times(), entry.times);
        }
    }

    fn poll(&mut self, here: usize, at: usize) {
        let (now, anew) = (self.now, self.rng.u8(..4) == 0);
        let entry = &mut self.alarms[at];
        if anew {
            // Another task polls.
            (entry.woken, entry.times) = (Arc::default(), 0);
        }
        let mut alarm = entry.alarm.take().expect("no thread polls it");
        let waker = Waker::from(entry.woken.clone());
        let (alarm, polled) = self.threads[here].run(move |_| {
            let polled = alarm.poll(&mut Context::from_waker(&waker), || now);
            (alarm, polled)
        });
        entry.alarm = Some(alarm);
        let place = (here, self.depths[here]);
        let stays = entry.waits == Some(place) && !anew;
        let expected = if stays {
            // Even after the deadline: the timer has not expired.
            Some(Poll::Pending)
        } else if entry.deadline <= now {
            Some(Poll::Ready(()))
        } else {
            (self.depths[here] > 0).then_some(Poll::Pending)
        };
        assert_eq!(polled, expected);
        entry.waits = (expected == Some(Poll::Pending)).then_some(place);
    }

    fn drop(&mut self, here: usize, at: usize) {
        let deadline = self.now + SECOND * self.rng.u32(..10);
        let entry = std::mem::replace(&mut self.alarms[at], ModelAlarm::new(deadline));
        self.threads[here].run(|_| drop(entry.alarm));
    }

    fn turn(&mut self, here: usize) {
        let now = self.now;
        self.threads[here].run(move |drivers| {
            if let Some(innermost) = drivers.last() {
                innermost.expire_at(now);
            }
        });
        self.wake(here, |entry| entry.deadline <= now);
    }

    fn leave(&mut self, here: usize) {
        self.threads[here].run(|drivers| drop(drivers.pop()));
        self.wake(here, |_| true);
        self.depths[here] = self.depths[here].saturating_sub(1);
    }

    /// Expects a wake of those alarms that wait for the innermost reactor of a thread.
    fn wake(&mut self, here: usize, which: impl Fn(&ModelAlarm) -> bool) {
        let place = (here, self.depths[here]);
        for entry in &mut self.alarms {
            if entry.waits == Some(place) && which(entry) {
                (entry.waits, entry.times) = (None, entry.times + 1);
            }
        }
    }
}

#[test]
fn every_alarm_is_woken_as_in_the_model() {
    let seed = env::var("HALVES_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("a number"),
    );
    let run = catch_unwind(AssertUnwindSafe(|| run(seed)));
    assert!(run.is_ok(), "HALVES_SEED={seed}");
}

fn run(seed: u64) {
    let now = Instant::now();
    let mut model = Model {
        rng: Rng::with_seed(seed),
        now,
        threads: (0..THREADS).map(|_| Lockstep::start()).collect(),
        depths: [0; THREADS],
        alarms: (0..ALARMS).map(|_| ModelAlarm::new(now)).collect(),
    };
    for _ in 0..STEPS {
        model.step();
    }
    // At the end no waker is left.
    for here in 0..THREADS {
        while model.depths[here] > 0 {
            model.leave(here);
        }
    }
    for entry in model.alarms {
        assert_eq!(Arc::strong_count(&entry.woken), 1);
    }
}
