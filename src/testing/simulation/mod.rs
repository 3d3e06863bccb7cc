//! `Simulation`: servers and clients on one thread, in virtual time, with a seed that repeats a run.

mod end;
mod faults;
mod listener;
mod network;
pub(super) mod paste;
mod plan;
mod report;
mod run;
mod scheduler;
mod shrink;
mod sim;
mod trace;
mod wire;

use std::collections::BTreeSet;
use std::env;
use std::future::Future;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

pub use end::{SimReader, SimWriter};
pub use faults::Faults;
pub use listener::SimListener;
pub use report::{Failure, Summary};
pub use sim::Sim;

/// The environment variable with the one seed to run.
const SEED_VARIABLE: &str = "HALVES_SEED";
/// The seeds of a simulation without any.
const DEFAULT_SEEDS: RangeInclusive<u64> = 0..=99;
/// The longest run, in virtual time.
const DEFAULT_TIME_LIMIT: Duration = Duration::from_hours(24);
/// The most polls of one run.
const DEFAULT_POLL_LIMIT: u64 = 10_000_000;

/// Runs servers and clients on one thread, in virtual time, once for each seed.
///
/// A seed chooses the task that runs next, the pieces in which bytes arrive, their delays, and the
/// faults of the network. The clock jumps to the next deadline when all tasks wait, so that an hour
/// takes microseconds. The same seed gives the same run on every machine.
///
/// Without a [`seed`](Self::seed), a hundred seeds are run, or the one in the environment variable
/// `HALVES_SEED`.
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncWriteExt;
/// use halves::service::upper;
/// use halves::testing::Simulation;
/// use halves::Connection;
///
/// Simulation::builder().run(|sim| async move {
///     let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
///     let listener = sim.listen("server")?;
///     sim.spawn(sim.server().serve(sim.clone(), listener, handler));
///
///     let mut client = sim.connect("server").await?;
///     client.writer.write_all(b"hello\n").await?;
///     assert_eq!(client.reader.line().await?.as_deref(), Some(&b"HELLO\n"[..]));
///     Ok(())
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Simulation {
    seeds: RangeInclusive<u64>,
    /// True if the seeds are those of the program, and not the default.
    has_seeds: bool,
    faults: Faults,
    /// The planned faults that may happen. None is all of them.
    only: Option<BTreeSet<String>>,
    time_limit: Duration,
    poll_limit: u64,
    keeps_trace: bool,
}

impl Simulation {
    /// Returns a simulation with the default settings: a hundred seeds, and [`Faults::default`].
    ///
    /// # Examples
    ///
    /// ```
    /// let simulation = halves::testing::Simulation::builder().seed(7);
    /// # let _ = simulation;
    /// ```
    #[must_use]
    pub fn builder() -> Self {
        Self {
            seeds: DEFAULT_SEEDS,
            has_seeds: false,
            faults: Faults::default(),
            only: None,
            time_limit: DEFAULT_TIME_LIMIT,
            poll_limit: DEFAULT_POLL_LIMIT,
            keeps_trace: false,
        }
    }

    /// Runs this seed only.
    ///
    /// # Examples
    ///
    /// ```
    /// let simulation = halves::testing::Simulation::builder().seed(7);
    /// # let _ = simulation;
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seeds = seed..=seed;
        self.has_seeds = true;
        self
    }

    /// Runs these seeds.
    ///
    /// # Panics
    ///
    /// If there are none.
    ///
    /// # Examples
    ///
    /// ```
    /// let simulation = halves::testing::Simulation::builder().seeds(0..10_000);
    /// # let _ = simulation;
    /// ```
    #[must_use]
    pub fn seeds(mut self, seeds: Range<u64>) -> Self {
        assert!(!seeds.is_empty(), "there is no seed in {seeds:?}");
        self.seeds = seeds.start..=seeds.end - 1;
        self.has_seeds = true;
        self
    }

    /// Sets the faults of the network.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::{Faults, Simulation};
    ///
    /// let simulation = Simulation::builder().faults(Faults::all());
    /// # let _ = simulation;
    /// ```
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Lets only these planned faults happen, in the form that a failure prints.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::{Faults, Simulation};
    ///
    /// let only = ["connection 3 up at 120: reset"];
    /// let simulation = Simulation::builder().seed(7).faults(Faults::all()).only(only);
    /// # let _ = simulation;
    /// ```
    #[must_use]
    pub fn only<T: Into<String>>(mut self, faults: impl IntoIterator<Item = T>) -> Self {
        self.only = Some(faults.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the longest run, in virtual time: 24 hours by default. A run that takes longer fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let simulation = halves::testing::Simulation::builder().time_limit(Duration::from_secs(60));
    /// # let _ = simulation;
    /// ```
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sets the most polls of one run: 10 million by default. A run that needs more fails, so that a
    /// task that wakes itself without end is found.
    ///
    /// # Examples
    ///
    /// ```
    /// let simulation = halves::testing::Simulation::builder().poll_limit(1000);
    /// # let _ = simulation;
    /// ```
    #[must_use]
    pub fn poll_limit(mut self, polls: u64) -> Self {
        self.poll_limit = polls;
        self
    }

    /// Keeps the whole trace of each run, and not only its last events.
    ///
    /// # Examples
    ///
    /// ```
    /// let simulation = halves::testing::Simulation::builder().seed(7).keep_trace();
    /// # let _ = simulation;
    /// ```
    #[must_use]
    pub fn keep_trace(mut self) -> Self {
        self.keeps_trace = true;
        self
    }

    /// Runs the test once for each seed. `test` gets the [`Sim`] of its run. A run ends when the
    /// future of `test` is ready; the tasks that are left are dropped.
    ///
    /// # Panics
    ///
    /// If `HALVES_SEED` is needed and not a number, or if a run fails: `test` returns an error or
    /// panics, a handler panics, every task waits and no time can help, or the run takes too long. The
    /// message has the seed, the virtual time, the last events, and the smallest set of faults with
    /// which the run still fails. The runs that search this set print no messages of their own panics.
    ///
    /// # Examples
    ///
    /// See [`Simulation`].
    pub fn run<F>(&self, test: impl Fn(Sim) -> F)
    where
        F: Future<Output = io::Result<()>>,
    {
        if let Err(failure) = self.try_run(test) {
            panic!("{failure}");
        }
    }

    /// As [`run`](Self::run), but returns the first failure.
    ///
    /// # Errors
    ///
    /// The first run that failed.
    ///
    /// # Panics
    ///
    /// If `HALVES_SEED` is needed and not a number.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::Simulation;
    ///
    /// let failure = Simulation::builder()
    ///     .try_run(|sim| async move { sim.connect("nowhere").await.map(drop) })
    ///     .unwrap_err();
    /// assert!(failure.to_string().contains("seed 0"));
    /// ```
    pub fn try_run<F>(&self, test: impl Fn(Sim) -> F) -> Result<Summary, Failure>
    where
        F: Future<Output = io::Result<()>>,
    {
        let mut summary = Summary::default();
        for seed in self.chosen_seeds() {
            match run::run(self, seed, &test) {
                Ok(run) => summary.add(&run),
                Err(failure) => return Err(shrink::shrink(self, failure, &test)),
            }
        }
        Ok(summary)
    }

    /// Returns true if the seeds are set.
    pub(super) fn has_seeds(&self) -> bool {
        self.has_seeds
    }

    fn chosen_seeds(&self) -> RangeInclusive<u64> {
        let given = env::var_os(SEED_VARIABLE).filter(|_| !self.has_seeds);
        let Some(given) = given else {
            return self.seeds.clone();
        };
        let given = given.to_string_lossy();
        let Ok(seed) = given.parse() else {
            panic!("{SEED_VARIABLE} is {given:?}: set it to one seed, such as 7, or unset it");
        };
        seed..=seed
    }
}
