//! The record of a connection: what passed in each direction, with times, as text.

mod date;
mod error;
mod halves;
mod line;
mod parser;
mod recorder;
mod tape;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

pub use error::RecordError;
pub use halves::{RecordReader, RecordWriter};
pub(super) use line::{MAX_DATA_BYTES, quoted};
use line::{push_event, push_header};
use parser::{MAX_LINE_BYTES, Parser};
pub use recorder::{Recorder, Recording, record};

/// The longest file that [`Record::read`] accepts, in bytes: 256 MiB.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// The record of one connection: what the server read and wrote, how each direction ended, and when.
///
/// A record is text, one event a line:
///
/// ```text
/// halves-record 1
/// client 192.0.2.1:40112
/// server 127.0.0.1:50007
/// began 2026-11-27T13:46:51.123456Z
/// 0.000000 in "hello\n"
/// 0.000120 out "HELLO\n"
/// 1.500000 in end
/// 1.500100 out end
/// 1.500200 closed
/// ```
///
/// [`FromStr`] and [`read`](Self::read) parse that text, [`Display`](fmt::Display) writes it. Times have
/// microseconds; a writer cuts the rest off. Data of more than 4,096 bytes becomes several lines with the
/// same time. `docs/records.md` has the whole grammar.
///
/// # Examples
///
/// ```
/// use halves::testing::Record;
///
/// let record: Record = "halves-record 1\n0 in \"hello\\n\"\n0.5 in end\n".parse()?;
/// assert_eq!(record.input(), b"hello\n");
/// assert!(record.answer().is_empty());
/// # Ok::<(), halves::testing::RecordError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The address of the client, or an empty text. At most 4,096 bytes.
    pub client: String,
    /// The address of the server's end, or an empty text. At most 4,096 bytes.
    pub server: String,
    /// The begin of the record, from 1970 to 9999. `None` if it is not known.
    pub began: Option<SystemTime>,
    /// The events, in the order of their times.
    pub events: Vec<RecordEvent>,
}

/// An event of a [`Record`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use halves::testing::{RecordEvent, Recorded};
///
/// let event = RecordEvent::new(Duration::from_millis(500), Recorded::InEnd);
/// assert_eq!(event.what, Recorded::InEnd);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordEvent {
    /// The time since the begin of the record. It never falls from one event to the next.
    pub at: Duration,
    /// The event.
    pub what: Recorded,
}

/// A kind of event in a [`Record`]. The words in brackets are those of the text.
///
/// # Examples
///
/// ```
/// use halves::testing::{Record, Recorded};
///
/// let record: Record = "halves-record 1\n0 out \"bye\\n\"\n0 closed\n".parse()?;
/// assert_eq!(record.events[0].what, Recorded::Out(b"bye\n".to_vec()));
/// assert_eq!(record.events[1].what, Recorded::Closed);
/// # Ok::<(), halves::testing::RecordError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recorded {
    /// The server read these bytes (`in "…"`).
    In(Vec<u8>),
    /// The stream accepted these bytes from the server (`out "…"`).
    Out(Vec<u8>),
    /// The server read the end of input (`in end`).
    InEnd,
    /// The server ended its output (`out end`).
    OutEnd,
    /// A read, a write or a close failed (`reset`).
    Reset,
    /// Later events are not recorded, for this reason (`cut …`). The last event. The reason is `limit` if
    /// the record has reached its longest size.
    Cut(String),
    /// Both halves are dropped (`closed`). The last event.
    Closed,
}

impl Record {
    /// Reads a file. It may have at most 256 MiB.
    ///
    /// Blocks until the file is read.
    ///
    /// # Errors
    ///
    /// Those of the file. [`InvalidData`](io::ErrorKind::InvalidData) if the text is not a record: the
    /// message has the number of the line. Each message begins with the path.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::testing::Record;
    ///
    /// let error = Record::read("missing.record").unwrap_err();
    /// assert!(error.to_string().starts_with("missing.record: "));
    /// ```
    pub fn read(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let read = File::open(path).and_then(|file| Self::read_from(BufReader::new(file)));
        read.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    fn read_from(from: impl BufRead) -> io::Result<Self> {
        let mut from = from.take(MAX_FILE_BYTES + 1);
        let mut parser = Parser::default();
        let mut line = Vec::new();
        let mut read = 0;
        loop {
            line.clear();
            let most = MAX_LINE_BYTES as u64 + 1;
            read += (&mut from).take(most).read_until(b'\n', &mut line)? as u64;
            if read > MAX_FILE_BYTES {
                let problem = format!("a record has at most {MAX_FILE_BYTES} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
            let taken = match &line[..] {
                [] => return parser.finish().map_err(invalid),
                line => parser.line(line),
            };
            taken.map_err(invalid)?;
        }
    }

    /// Returns the bytes that the server read.
    ///
    /// # Examples
    ///
    /// See [`Record`].
    #[must_use]
    pub fn input(&self) -> Vec<u8> {
        self.sum(|what| match what {
            Recorded::In(data) => data,
            _ => &[],
        })
    }

    /// Returns the bytes that the server wrote.
    ///
    /// # Examples
    ///
    /// See [`Record`].
    #[must_use]
    pub fn answer(&self) -> Vec<u8> {
        self.sum(|what| match what {
            Recorded::Out(data) => data,
            _ => &[],
        })
    }

    fn sum(&self, data: impl Fn(&Recorded) -> &[u8]) -> Vec<u8> {
        let pieces = self.events.iter().map(|event| data(&event.what));
        pieces.collect::<Vec<_>>().concat()
    }
}

impl RecordEvent {
    /// Makes an event.
    ///
    /// # Examples
    ///
    /// See [`RecordEvent`].
    #[must_use]
    pub fn new(at: Duration, what: Recorded) -> Self {
        Self { at, what }
    }
}

impl FromStr for Record {
    type Err = RecordError;

    /// Parses the text of a record.
    ///
    /// # Errors
    ///
    /// Returns an error with the number of the line if the text is not a record of version 1, or if its
    /// last line has no line end.
    fn from_str(text: &str) -> Result<Self, RecordError> {
        let mut parser = Parser::default();
        for line in text.as_bytes().split_inclusive(|&byte| byte == b'\n') {
            parser.line(line)?;
        }
        parser.finish()
    }
}

/// Writes the text that [`FromStr`] parses, if the times do not fall, `Cut` and `Closed` come last, and the
/// addresses and the cause of a `Cut` are no longer than they may be. Empty data is left out.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        push_header(&mut text, &self.client, &self.server, self.began);
        f.write_str(&text)?;
        for event in &self.events {
            text.clear();
            push_event(&mut text, event);
            f.write_str(&text)?;
        }
        Ok(())
    }
}

fn invalid(error: RecordError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
