//! A client of a control socket.

use std::io::{self, ErrorKind};
use std::time::Duration;

use futures_lite::AsyncWriteExt;
use halves::connection::{AnyRead, AnyWrite, Reader, Writer};
use halves::{Address, Clock, ConnectOptions, Connection};

/// The longest line of an answer.
const MAX_LINE_BYTES: usize = 1024 * 1024;
/// The longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to a control socket.
pub(super) struct Client {
    reader: Reader<AnyRead>,
    writer: Writer<AnyWrite>,
    clock: Clock,
    /// The lines of the present answer so far.
    lines: Vec<String>,
}

impl Client {
    pub(super) async fn connect(address: &Address) -> io::Result<Self> {
        let options = ConnectOptions::default().timeout(TIMEOUT);
        let Connection {
            mut reader, writer, ..
        } = (options.connect(address.clone()).await).map_err(|error| cannot_connect(&error))?;
        reader.set_frame_limit(MAX_LINE_BYTES);
        Ok(Self {
            reader,
            writer,
            clock: Clock::default(),
            lines: Vec::new(),
        })
    }

    pub(super) async fn send(&mut self, request: &str) -> io::Result<()> {
        let line = format!("{request}\n");
        self.writer.write_all(line.as_bytes()).await?;
        self.writer.flush().await
    }

    /// Returns the lines of the next answer, which is due now.
    pub(super) async fn answer_in_time(&mut self) -> io::Result<Option<Vec<String>>> {
        let clock = self.clock.clone();
        match clock.timeout(TIMEOUT, self.answer()).await {
            Ok(answer) => answer,
            Err(_) => Err(io::Error::new(
                ErrorKind::TimedOut,
                format!("no answer in {TIMEOUT:?}; 16 clients may be connected already"),
            )),
        }
    }

    /// Returns the lines of the next answer, or None if the server has ended. Cancel-safe.
    pub(super) async fn answer(&mut self) -> io::Result<Option<Vec<String>>> {
        loop {
            match self.reader.line().await? {
                None => return Ok(None),
                Some(line) if line.trim_ascii().is_empty() => {
                    return Ok(Some(std::mem::take(&mut self.lines)));
                }
                Some(line) => self
                    .lines
                    .push(String::from_utf8_lossy(&line).trim_end().to_owned()),
            }
        }
    }
}

/// Returns the error of a connect, which names the address, with a hint.
fn cannot_connect(error: &io::Error) -> io::Error {
    let hint = match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
            "; is a server with --control running?"
        }
        ErrorKind::PermissionDenied => "; run halves ctl as root or as the owner of the socket",
        _ => "",
    };
    io::Error::other(format!("{error}{hint}"))
}
