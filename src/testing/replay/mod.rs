//! `Replay`: sends the input of a record to a handler or a server, and compares the answer.

mod difference;
mod play;
mod script;
mod simulated;

use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_lite::{AsyncRead, AsyncWrite};

use super::record::Record;
use super::{Failure, Faults, Simulation, Summary};
use crate::connection::Connection;
use crate::server::Handler;
use crate::time::Clock;
pub use difference::{Difference, Observed};
use play::Play;

/// The longest wait for a part of the answer, beyond its recorded time.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

/// Reads a record file, to replay it.
///
/// # Errors
///
/// Those of [`Record::read`].
///
/// # Examples
///
/// ```
/// use halves::testing::replay;
/// use halves::{Connection, service};
///
/// let upper = async |c: Connection| service::upper(c.reader, c.writer).await;
/// replay("tests/records/upper.record")?.run(upper);
/// # std::io::Result::Ok(())
/// ```
pub fn replay(path: impl AsRef<Path>) -> io::Result<Replay> {
    let path = path.as_ref();
    let replay = Replay::new(Record::read(path)?);
    Ok(Replay {
        path: Some(path.to_owned()),
        ..replay
    })
}

/// The input of a [`Record`], to be sent again, and its answer, to be compared.
///
/// The replay is a client that answers to what it has read: a recorded piece of input is sent when
/// the answer that precedes it in the record has arrived, and the recorded pause has passed. The
/// answer is compared as one stream of bytes, however it is cut, and its end is compared, too. A
/// part of the answer that is later than in the record is no difference before the
/// [`timeout`](Self::timeout).
///
/// If the record has [`Closed`](super::Recorded::Closed) without an end of the output, the answer may end
/// in order or by a reset. Behind a cut or a reset, and in a record that has neither end nor `Closed`,
/// any answer may follow.
///
/// Every byte of the answer is compared: a handler that answers with times or random numbers has to
/// get them from a clock and a seed of the test.
///
/// # Examples
///
/// ```
/// use halves::testing::{Faults, Record, Replay};
/// use halves::{Connection, service};
///
/// let record: Record = "halves-record 1\n\
///     client 192.0.2.1:4000\n\
///     server 192.0.2.7:7\n\
///     0.000000 in \"one\\n\"\n\
///     0.000120 out \"ONE\\n\"\n\
///     2.500000 in \"two\\n\"\n\
///     2.500000 in end\n\
///     2.500090 out \"TWO\\n\"\n\
///     2.500100 out end\n\
///     2.500200 closed\n"
///     .parse()?;
/// let upper = async |c: Connection| service::upper(c.reader, c.writer).await;
/// Replay::new(record.clone()).run(upper);
/// Replay::new(record.clone()).faults(Faults::default()).seeds(0..20).run(upper);
///
/// let echo = async |c: Connection| service::echo(c.reader, c.writer).await;
/// let failure = Replay::new(record).try_run(echo).unwrap_err();
/// assert!(failure.problem.contains(r#"recorded "ONE\n"#), "{failure}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Replay {
    record: Record,
    /// The file of the record, if it has one.
    path: Option<PathBuf>,
    timeout: Duration,
    pace: f64,
    /// The network and the seeds. Nothing fails without [`faults`](Self::faults).
    simulation: Simulation,
    has_faults: bool,
}

/// The sums of a replay without a difference.
///
/// # Examples
///
/// See [`Replay::play`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// Bytes of input that were sent.
    pub sent: u64,
    /// Bytes of the answer that were compared.
    pub received: u64,
    /// The time from the begin to the last event.
    pub time: Duration,
    /// False if the record has no end of the answer, so that only a beginning was compared.
    pub is_whole: bool,
}

impl Replay {
    /// Makes a replay of a record, without faults and at the recorded pace.
    ///
    /// # Examples
    ///
    /// See [`Replay`].
    pub fn new(record: Record) -> Self {
        Self {
            record,
            path: None,
            timeout: DEFAULT_TIMEOUT,
            pace: 1.0,
            simulation: Simulation::builder().faults(Faults::none()),
            has_faults: false,
        }
    }

    /// Sets the longest time that a part of the answer may be later than in the record, and that the
    /// handler may leave input unread: a minute by default.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// let replay = halves::testing::replay("login.record")?.timeout(Duration::from_secs(10));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many times as fast as in the record the input is sent: 1 by default, infinity for no
    /// pauses. The recorded times of the answer stay, for a server with timers.
    ///
    /// # Panics
    ///
    /// If the pace is not a number above 0.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let replay = halves::testing::replay("login.record")?.pace(f64::INFINITY);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn pace(mut self, times: f64) -> Self {
        assert!(times > 0.0, "{times} is not a pace above 0");
        self.pace = times;
        self
    }

    /// Sets the faults of the simulated network, and runs a hundred seeds unless
    /// [`seeds`](Self::seeds) are set. Without, nothing fails, and seed 0 is run.
    ///
    /// Faults that lose nothing, such as pieces, delays and stalls, must not change the answer. With
    /// faults that lose bytes or connections, the answer may be a beginning of the recorded one. An
    /// input that [ends](Faults::ends) in the middle is another input: leave this fault out for a
    /// handler that answers it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use halves::testing::{Faults, replay};
    ///
    /// let replay = replay("login.record")?.faults(Faults::default().resets(0.2));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn faults(mut self, faults: Faults) -> Self {
        self.simulation = self.simulation.faults(faults);
        self.has_faults = true;
        self
    }

    /// Runs this seed only.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use halves::testing::{Faults, replay};
    ///
    /// let replay = replay("login.record")?.faults(Faults::all()).seed(7);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.simulation = self.simulation.seed(seed);
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
    /// ```no_run
    /// use halves::testing::{Faults, replay};
    ///
    /// let replay = replay("login.record")?.faults(Faults::all()).seeds(0..10_000);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.simulation = self.simulation.seeds(seeds);
        self
    }

    /// Lets only these planned faults happen, in the form that a failure prints.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use halves::testing::{Faults, replay};
    ///
    /// let replay = replay("login.record")?.faults(Faults::all()).seed(7);
    /// let replay = replay.only(["connection 1 up at 120: reset"]);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn only<T: Into<String>>(mut self, faults: impl IntoIterator<Item = T>) -> Self {
        self.simulation = self.simulation.only(faults);
        self
    }

    /// Replays the record to a handler in virtual time, once for each seed. The handler is served by
    /// [`Sim::serve`](super::Sim::serve), and sees a client with the recorded IP address.
    ///
    /// # Panics
    ///
    /// If an answer differs, or the handler panics. The message has the first difference, the seed,
    /// the last events, and the smallest set of faults with which the run still fails.
    ///
    /// # Examples
    ///
    /// See [`Replay`].
    pub fn run<H, F>(&self, handler: H)
    where
        H: Handler<Connection, F> + 'static,
        F: Future<Output = io::Result<()>> + 'static,
    {
        if let Err(failure) = self.try_run(handler) {
            panic!("{failure}");
        }
    }

    /// As [`run`](Self::run), but returns the first failure.
    ///
    /// # Errors
    ///
    /// The first run that failed. Its problem is the text of the [`Difference`].
    ///
    /// # Examples
    ///
    /// See [`Replay`].
    pub fn try_run<H, F>(&self, handler: H) -> Result<Summary, Failure>
    where
        H: Handler<Connection, F> + 'static,
        F: Future<Output = io::Result<()>> + 'static,
    {
        self.run_simulated(&handler)
    }

    /// Replays the record to the other end of a connection, in the time of a clock: to a server of a
    /// [`Simulation`] with settings of its own, or to a running one.
    ///
    /// The connection is closed at the end. If that is in the middle of the recorded input, it is
    /// reset, also when the future is dropped.
    ///
    /// # Errors
    ///
    /// The first difference. It converts to an [`io::Error`].
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::{Record, Replay, Simulation};
    /// use halves::{Connection, Timeouts, service};
    /// use std::time::Duration;
    ///
    /// // Without an end of the input: the server has ended after its idle timeout.
    /// let record: Record = "halves-record 1\n\
    ///     client 192.0.2.1:4000\n\
    ///     server 192.0.2.7:7\n\
    ///     0.000000 in \"hello\\n\"\n\
    ///     0.000120 out \"HELLO\\n\"\n\
    ///     60.000120 closed\n"
    ///     .parse()?;
    /// let replay = Replay::new(record);
    /// Simulation::builder().seeds(0..3).run(async |sim| {
    ///     let upper = async |c: Connection<_, _>| service::upper(c.reader, c.writer).await;
    ///     let idle = Timeouts::default().idle(Duration::from_mins(1));
    ///     let server = sim.server().timeouts(idle);
    ///     sim.spawn(server.serve(sim.clone(), sim.listen("server")?, upper));
    ///
    ///     let replayed = replay.play(sim.connect("server").await?, sim.clock()).await?;
    ///     assert_eq!((replayed.sent, replayed.received, replayed.is_whole), (6, 6, true));
    ///     Ok(())
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn play<R, W>(
        &self,
        connection: Connection<R, W>,
        clock: &Clock,
    ) -> Result<Replayed, Difference>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        Play::new(self, clock).run(connection).await
    }
}
