//! `Failure` and `Summary`: the results of a simulation.

use std::fmt;
use std::time::Duration;

/// The sums of all runs of a simulation that did not fail.
///
/// # Examples
///
/// ```
/// use halves::testing::Simulation;
///
/// let summary = Simulation::builder().seeds(0..3).try_run(|_sim| async { Ok(()) })?;
/// assert_eq!((summary.runs, summary.connections), (3, 0));
/// # Ok::<(), halves::testing::Failure>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Runs, one for each seed.
    pub runs: u64,
    /// Connections, those that were refused included.
    pub connections: u64,
    /// Polls of tasks.
    pub polls: u64,
    /// Faults that have happened, without splits, delays and pauses.
    pub faults: u64,
    /// Virtual time.
    pub time: Duration,
    /// The whole traces, after [`Simulation::keep_trace`](super::Simulation::keep_trace). Otherwise
    /// empty.
    pub trace: String,
}

/// A run that failed. Its text has all that is needed to repeat it.
///
/// # Examples
///
/// ```
/// use halves::testing::Simulation;
///
/// let failing = |sim: halves::testing::Sim| async move { sim.connect("nowhere").await.map(drop) };
/// let failure = Simulation::builder().try_run(failing).unwrap_err();
/// assert_eq!(failure.seed, 0);
/// assert!(failure.problem.contains("refused"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// The seed of the run.
    pub seed: u64,
    /// The virtual time at the failure.
    pub time: Duration,
    /// The error, or the message of the panic.
    pub problem: String,
    /// The smallest set of faults that was found with which the run still fails in this way.
    pub faults: Vec<String>,
    /// The source of a test with this seed and these faults, to paste. A test that is a closure is
    /// named `test` in it.
    pub test: String,
    /// The last events, a line each; or all, after
    /// [`Simulation::keep_trace`](super::Simulation::keep_trace).
    pub trace: String,
}

impl Summary {
    pub(super) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.connections += other.connections;
        self.polls += other.polls;
        self.faults += other.faults;
        self.time += other.time;
        self.trace.push_str(&other.trace);
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            time,
            problem,
            test,
            trace,
            ..
        } = self;
        writeln!(f, "seed {seed} fails after {time:?}: {problem}")?;
        writeln!(f, "the last events (up is to the server):\n{trace}")?;
        write!(f, "a test that repeats it:\n\n{test}")
    }
}

impl std::error::Error for Failure {}
