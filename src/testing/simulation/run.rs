//! One run: polls tasks in the order of its seed, and moves the clock when all wait.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fastrand::Rng;

use super::Simulation;
use super::network::Network;
use super::paste;
use super::report::{Failure, Summary};
use super::scheduler::{MAIN, Scheduler, TaskId};
use super::sim::Sim;
use super::trace::{Event, Trace};
use super::wire::Conditions;
use crate::catch::catch_panic;
use crate::time::{Clock, ManualClock};

/// The state of a run.
pub(super) struct Run {
    pub(super) seed: u64,
    pub(super) scheduler: Scheduler,
    pub(super) clock: Clock,
    pub(super) manual: ManualClock,
    pub(super) network: Rc<RefCell<Network>>,
    pub(super) trace: Trace,
    pub(super) rng: RefCell<Rng>,
    pub(super) polls: Cell<u64>,
}

/// Runs the test with one seed.
pub(super) fn run<F>(
    settings: &Simulation,
    seed: u64,
    test: &impl Fn(Sim) -> F,
) -> Result<Summary, Failure>
where
    F: Future<Output = io::Result<()>>,
{
    let sim = Sim::new(settings, seed);
    let run = &*sim.0;
    let mut main = pin!(None);
    let ended = catch_panic(|| main.set(Some(test(sim.clone()))));
    let ended = ended.and_then(|()| run.drive(settings, main.as_mut()));
    // Before the tasks are dropped: their last events are not the cause.
    let failure = ended.err().map(|problem| run.failure(&problem));
    run.trace.end_tasks();
    let dropped = catch_panic(|| main.set(None));
    let dropped = dropped.and(run.scheduler.clear()).and(run.check());
    let failure = failure.or(dropped.err().map(|problem| run.failure(&problem)));
    match failure {
        None => Ok(run.summary(settings)),
        Some(mut failure) => {
            failure.test = paste::source_of(test, settings, seed, &failure.faults);
            Err(failure)
        }
    }
}

impl Sim {
    pub(super) fn new(settings: &Simulation, seed: u64) -> Self {
        let (clock, manual) = Clock::manual();
        let mut rng = Rng::with_seed(seed);
        let trace = Trace::new(clock.clone(), settings.keeps_trace);
        let conditions = Arc::new(Conditions {
            faults: settings.faults.clone(),
            clock: clock.clone(),
            trace: trace.clone(),
        });
        let network = Network::new(conditions, seed, settings.only.clone());
        Self(Rc::new(Run {
            seed,
            scheduler: Scheduler::new(rng.u64(..)),
            clock,
            manual,
            network: Rc::new(RefCell::new(network)),
            trace,
            rng: RefCell::new(rng),
            polls: Cell::new(0),
        }))
    }
}

impl Run {
    /// Polls tasks, and moves the clock when all wait, until `main` has ended.
    fn drive<F>(&self, settings: &Simulation, mut main: Pin<&mut Option<F>>) -> io::Result<()>
    where
        F: Future<Output = io::Result<()>>,
    {
        let waker = self.scheduler.main_waker();
        // The polls since the clock has moved.
        let mut still = 0;
        loop {
            if let Some(task) = self.scheduler.next() {
                if let Poll::Ready(result) = self.poll(task, main.as_mut(), &waker)? {
                    return result.and_then(|()| self.check());
                }
                self.check()?;
                self.polls.set(self.polls.get() + 1);
                still += 1;
                if self.polls.get() > settings.poll_limit {
                    return Err(too_many_polls(settings.poll_limit, still));
                }
            } else if self.manual.advance_to_next() {
                still = 0;
                if self.trace.time() > settings.time_limit {
                    let limit = settings.time_limit;
                    return Err(io::Error::other(format!("not ended after {limit:?}")));
                }
            } else {
                return Err(io::Error::other(ALL_WAIT));
            }
        }
    }

    /// Polls a task. Ready with the result of `main`. An error is a panic.
    fn poll<F: Future>(
        &self,
        task: TaskId,
        main: Pin<&mut Option<F>>,
        waker: &Waker,
    ) -> io::Result<Poll<F::Output>> {
        self.trace.poll(task, || {
            let polled = catch_panic(|| match main.as_pin_mut() {
                Some(main) if task == MAIN => main.poll(&mut Context::from_waker(waker)),
                _ => {
                    self.scheduler.poll(task);
                    Poll::Pending
                }
            });
            polled.inspect_err(|panic| self.trace.add(Event::Note(format!("panicked: {panic}"))))
        })
    }

    /// Returns the problem that a server has reported.
    fn check(&self) -> io::Result<()> {
        let problem = self.trace.problem();
        problem.map_or(Ok(()), |problem| Err(io::Error::other(problem)))
    }

    fn failure(&self, problem: &io::Error) -> Failure {
        let faults = self.trace.faults();
        Failure {
            seed: self.seed,
            time: self.trace.time(),
            problem: problem.to_string(),
            faults: faults.iter().map(ToString::to_string).collect(),
            trace: self.trace.text(),
            test: String::new(),
        }
    }

    fn summary(&self, settings: &Simulation) -> Summary {
        Summary {
            runs: 1,
            connections: self.network.borrow().connections(),
            polls: self.polls.get(),
            faults: self.trace.faults().len() as u64,
            time: self.trace.time(),
            trace: if settings.keeps_trace {
                self.trace.text()
            } else {
                String::new()
            },
        }
    }
}

/// The problem of a run that cannot go on.
const ALL_WAIT: &str = "every task waits, and no sleep is pending: nothing in the simulation can wake \
    a task. It may wait for a peer that waits, too, or for something outside, such as another thread, \
    a file, a socket or a child";

fn too_many_polls(limit: u64, still: u64) -> io::Error {
    io::Error::other(format!(
        "not ended after {limit} polls, the last {still} at the same time: a task may wake itself \
         without end, or the simulation needs a larger poll_limit"
    ))
}
