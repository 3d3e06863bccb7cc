//! `record`: the record of a connection while it runs.

use std::fmt;
use std::sync::Arc;

use super::Record;
use super::halves::{RecordReader, RecordWriter};
use super::tape::{Sink, Tape};
use crate::connection::Connection;
use crate::time::Clock;

/// The longest record by default: 1 MiB of text.
const DEFAULT_LIMIT_BYTES: usize = 1024 * 1024;

/// Records a connection, as [`Recorder::record`] does with the default settings.
///
/// # Examples
///
/// ```
/// use futures_lite::future::block_on;
/// use halves::service::upper;
/// use halves::testing::{pieces, record};
///
/// let (connection, recording) = record(pieces(["he", "llo"]).0);
/// block_on(upper(connection.reader, connection.writer))?;
/// assert_eq!(recording.record().input(), b"hello");
/// assert_eq!(recording.record().answer(), b"HELLO");
/// # std::io::Result::Ok(())
/// ```
pub fn record<R, W>(
    connection: Connection<R, W>,
) -> (Connection<RecordReader<R>, RecordWriter<W>>, Recording) {
    Recorder::default().record(connection)
}

/// Records connections: settings, and the begin of a record.
///
/// # Examples
///
/// See [`record`](Self::record).
#[derive(Clone, Debug)]
pub struct Recorder {
    clock: Option<Clock>,
    limit: usize,
}

/// The record of a connection, also while it runs. Its clones show the same record.
///
/// # Examples
///
/// See [`record`].
#[derive(Clone)]
pub struct Recording(Arc<Tape>);

impl Default for Recorder {
    fn default() -> Self {
        Self {
            clock: None,
            limit: DEFAULT_LIMIT_BYTES,
        }
    }
}

impl Recorder {
    /// Sets the clock of the times: by default that of the connection's server, or that of the system
    /// without a server. With a [manual clock](Clock::manual), the record has no date, so it is the same
    /// in each run.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use futures_lite::{AsyncReadExt, future::block_on};
    /// use halves::{Clock, Connection};
    /// use halves::testing::Recorder;
    ///
    /// let (clock, manual) = Clock::manual();
    /// let connection = Connection::new(&b"hello"[..], futures_lite::io::sink());
    /// let (mut connection, recording) = Recorder::default().clock(clock).record(connection);
    /// manual.advance(Duration::from_millis(1500));
    /// block_on(connection.reader.read(&mut [0; 9]))?;
    /// let text = recording.record().to_string();
    /// assert_eq!(text.lines().last(), Some("1.500000 in \"hello\""));
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Sets the longest record, in bytes of its text: 1 MiB by default, at least 1,024. Bytes that are not
    /// printable ASCII take up to four bytes of text.
    ///
    /// Behind it, the record ends with [`Recorded::Cut`](super::Recorded::Cut), and the connection goes on
    /// untouched. A [`Recording`] takes up to twice its length of memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::{AsyncReadExt, future::block_on};
    /// use halves::Connection;
    /// use halves::testing::{Recorded, Recorder};
    ///
    /// let connection = Connection::new(&[b'x'; 5000][..], futures_lite::io::sink());
    /// let (mut connection, recording) = Recorder::default().limit(2000).record(connection);
    /// let mut got = Vec::new();
    /// block_on(connection.reader.read_to_end(&mut got))?;
    /// assert_eq!(got.len(), 5000);
    /// let record = recording.record();
    /// assert!(record.to_string().len() <= 2000);
    /// assert_eq!(record.events.last().unwrap().what, Recorded::Cut("limit".to_owned()));
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Records a connection in memory. The record begins now; bytes that the connection has read ahead are
    /// its first event.
    ///
    /// The new halves pass each call to those of the connection, and record the result when they return it:
    /// bytes read, the part of a write that was accepted, ends and failures. A call that waits is not in
    /// the record, so dropping its future loses nothing. The peer, the link, and with them the server's end
    /// of the connection stay the same. What the server does after both halves are dropped is not recorded,
    /// nor is a reset by the server while they wait.
    ///
    /// # Examples
    ///
    /// A server that keeps the record of each connection:
    ///
    /// ```
    /// use futures_lite::future;
    /// use halves::listener::memory;
    /// use halves::testing::record;
    /// use halves::{Connection, service};
    ///
    /// let (keep, records) = std::sync::mpsc::channel();
    /// let handler = async |connection: Connection| {
    ///     let (connection, recording) = record(connection);
    ///     let served = service::echo(connection.reader, connection.writer).await;
    ///     let _ = keep.send(recording.record());
    ///     served
    /// };
    /// future::block_on(memory::ask(handler, "hello"))?;
    /// assert_eq!(records.recv().unwrap().answer(), b"hello");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn record<R, W>(
        &self,
        connection: Connection<R, W>,
    ) -> (Connection<RecordReader<R>, RecordWriter<W>>, Recording) {
        let (connection, tape) = self.begin(connection, None);
        (connection, Recording(tape))
    }

    /// Records a connection into `sink`, which receives the text of the record as it grows: first the
    /// lines in front of the events, then those of each event. Nothing is kept in memory.
    ///
    /// `sink` is called within the calls of the halves, so it must not block, and must not use them. It is
    /// dropped behind the last event.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::{AsyncReadExt, future::block_on};
    /// use halves::Connection;
    /// use halves::testing::{Record, Recorder};
    ///
    /// let (to, lines) = std::sync::mpsc::channel();
    /// let connection = Connection::new(&b"hello"[..], futures_lite::io::sink());
    /// let sink = move |text| drop(to.send(text));
    /// let mut connection = Recorder::default().record_to(connection, sink);
    /// block_on(connection.reader.read(&mut [0; 9]))?;
    /// drop(connection);
    /// let record: Record = lines.iter().collect::<String>().parse().unwrap();
    /// assert_eq!(record.input(), b"hello");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn record_to<R, W>(
        &self,
        connection: Connection<R, W>,
        sink: impl FnMut(String) + Send + 'static,
    ) -> Connection<RecordReader<R>, RecordWriter<W>> {
        self.begin(connection, Some(Box::new(sink))).0
    }

    fn begin<R, W>(
        &self,
        connection: Connection<R, W>,
        sink: Option<Sink>,
    ) -> (Connection<RecordReader<R>, RecordWriter<W>>, Arc<Tape>) {
        let peer = &connection.peer;
        let clock = self.clock.clone().unwrap_or_else(|| peer.record().clock());
        let tape = Tape::new(peer, clock, self.limit, sink);
        let connection = connection.map_halves(|reader, ahead, writer| {
            (
                RecordReader::new(reader, ahead, &tape),
                RecordWriter::new(writer, &tape),
            )
        });
        (connection, tape)
    }
}

impl Recording {
    /// Returns the record so far.
    ///
    /// # Panics
    ///
    /// Never: the text of a recording is that of a record.
    ///
    /// # Examples
    ///
    /// See [`record`].
    #[must_use]
    pub fn record(&self) -> Record {
        let parsed = self.0.text().parse();
        parsed.expect("the text of a recording is that of a record")
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").finish_non_exhaustive()
    }
}
