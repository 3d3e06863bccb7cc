//! One run: polls tasks in the order of its seed, and moves the clock when all wait.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use fastrand::Rng;

use super::Simulation;
use super::network::Network;
use super::report::{Failure, Summary};
use super::scheduler::{Scheduler, Turn};
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
    // A panic of the test may be that of `test` itself.
    let ended = catch_panic(|| {
        let mut main = pin!(test(sim.clone()));
        sim.drive(settings, main.as_mut())
    });
    let ended = ended.and_then(|ended| ended);
    let problem = ended.err().map(|error| error.to_string());
    // The drop of a task may panic, too.
    let cleared = catch_panic(|| sim.0.scheduler.clear());
    let problem = problem.or(cleared.err().map(|error| error.to_string()));
    let Run { trace, .. } = &*sim.0;
    match problem {
        None => Ok(Summary {
            runs: 1,
            connections: sim.0.network.borrow().connections(),
            polls: sim.0.polls.get(),
            faults: trace.faults().len() as u64,
            time: trace.time(),
            trace: if settings.keeps_trace {
                trace.text()
            } else {
                String::new()
            },
        }),
        Some(problem) => Err(Failure {
            seed,
            time: trace.time(),
            problem,
            faults: trace.faults(),
            trace: trace.text(),
        }),
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

    /// Polls tasks, and moves the clock when all wait, until `main` has ended.
    fn drive(
        &self,
        settings: &Simulation,
        mut main: Pin<&mut impl Future<Output = io::Result<()>>>,
    ) -> io::Result<()> {
        let run = &*self.0;
        let waker = run.scheduler.main_waker();
        loop {
            match run.scheduler.next() {
                Some(Turn::Main) => {
                    run.trace.add(Event::Ran(0));
                    let polled = main.as_mut().poll(&mut Context::from_waker(&waker));
                    if let Poll::Ready(result) = polled {
                        return result.and_then(|()| self.check());
                    }
                }
                Some(Turn::Task(number)) => {
                    run.trace.add(Event::Ran(number + 1));
                    run.scheduler.poll(number);
                }
                None if run.manual.advance_to_next() => {}
                None => {
                    return Err(io::Error::other(
                        "every task waits, and no sleep is pending",
                    ));
                }
            }
            self.check()?;
            run.polls.set(run.polls.get() + 1);
            if run.polls.get() > settings.poll_limit {
                let limit = settings.poll_limit;
                return Err(io::Error::other(format!("not ended after {limit} polls")));
            }
            if run.trace.time() > settings.time_limit {
                let limit = settings.time_limit;
                return Err(io::Error::other(format!("not ended after {limit:?}")));
            }
        }
    }

    /// Returns the problem that a server has reported.
    fn check(&self) -> io::Result<()> {
        self.0
            .trace
            .problem()
            .map_or(Ok(()), |problem| Err(io::Error::other(problem)))
    }
}
