//! A replay over one connection: sends the recorded input, and compares the answer meanwhile.

use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::io;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt, future};

use super::difference::{Difference, MAX_TEXT_BYTES, Observed};
use super::script::{Action, Ending, Script, Step};
use super::{Replay, Replayed};
use crate::connection::{Connection, Peer, Reader, Writer};
use crate::time::Clock;

/// The longest wait for more bytes of an answer that differs, so that its text is not one byte.
const GATHER_TIMEOUT: Duration = Duration::from_millis(100);

/// A replay that runs.
pub(super) struct Play<'a> {
    replay: &'a Replay,
    script: Script<'a>,
    clock: &'a Clock,
    begin: Instant,
    /// Bytes of the answer that have arrived, and are the recorded ones.
    received: Cell<usize>,
    /// True if the answer has ended as recorded.
    has_ended: Cell<bool>,
    sent: Cell<u64>,
}

/// Resets the connection when it is dropped in the middle of the input, so that the peer does not
/// take the input for complete.
struct CutInput {
    peer: Peer,
    is_complete: Cell<bool>,
}

impl<'a> Play<'a> {
    pub(super) fn new(replay: &'a Replay, clock: &'a Clock) -> Self {
        Self {
            replay,
            script: Script::new(&replay.record),
            clock,
            begin: clock.now(),
            received: Cell::new(0),
            has_ended: Cell::new(false),
            sent: Cell::new(0),
        }
    }

    pub(super) async fn run<R, W>(
        &self,
        connection: Connection<R, W>,
    ) -> Result<Replayed, Difference>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let (mut reader, mut writer) = (connection.reader, connection.writer);
        // Declared after the halves: these are dropped later.
        let cut = CutInput {
            peer: connection.peer,
            is_complete: Cell::new(false),
        };
        let compared = async { Err(self.compare(&mut reader).await) };
        // Polled after the comparison, so that the steps see what has arrived.
        future::or(compared, self.follow(&mut writer, &cut)).await?;
        Ok(Replayed {
            sent: self.sent.get(),
            received: self.received.get() as u64,
            time: self.clock.now() - self.begin,
            is_whole: self.script.ending.is_some(),
        })
    }

    /// Compares the answer as it arrives. Returns the first difference.
    async fn compare<R: AsyncRead + Unpin>(&self, reader: &mut Reader<R>) -> Difference {
        loop {
            let end = match reader.read_chunk().await {
                Ok(chunk) if chunk.is_empty() => Observed::End,
                Ok(chunk) => match self.first_other(&chunk) {
                    None => continue,
                    Some(other) => {
                        // With the time of the first byte.
                        let difference = self.difference(Observed::Bytes(Vec::new()));
                        let answered = Observed::Bytes(self.gather(other.to_vec(), reader).await);
                        return Difference {
                            answered,
                            ..difference
                        };
                    }
                },
                Err(error) => Observed::of_error(&error),
            };
            let is_whole = self.received.get() == self.script.answer.len();
            if !is_whole || !self.is_recorded(&end) {
                return self.difference(end);
            }
            self.has_ended.set(true);
            pending::<()>().await;
        }
    }

    /// Counts the bytes that are the recorded ones, and returns the others, if there are any.
    fn first_other<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let expected = &self.script.answer[self.received.get()..];
        let pairs = expected.iter().zip(bytes);
        let same = pairs.take_while(|(one, other)| one == other).count();
        self.received.set(self.received.get() + same);
        // Behind a cut, nothing is recorded.
        let is_behind_cut = same == expected.len() && self.script.ending.is_none();
        (same < bytes.len() && !is_behind_cut).then(|| &bytes[same..])
    }

    fn is_recorded(&self, end: &Observed) -> bool {
        match self.script.ending {
            Some(Ending::End) => *end == Observed::End,
            Some(Ending::Closed) => matches!(end, Observed::End | Observed::Reset),
            None => true,
        }
    }

    /// Adds the bytes that follow soon.
    async fn gather<R: AsyncRead + Unpin>(
        &self,
        mut bytes: Vec<u8>,
        reader: &mut Reader<R>,
    ) -> Vec<u8> {
        let more = async {
            while bytes.len() < MAX_TEXT_BYTES {
                match reader.read_chunk().await {
                    Ok(chunk) if !chunk.is_empty() => bytes.extend_from_slice(&chunk),
                    _ => break,
                }
            }
        };
        // The bytes so far are enough.
        let _ = self.clock.timeout(GATHER_TIMEOUT, more).await;
        bytes.truncate(MAX_TEXT_BYTES);
        bytes
    }

    /// Follows the steps of the record to their end.
    async fn follow<W: AsyncWrite + Unpin>(
        &self,
        writer: &mut Writer<W>,
        cut: &CutInput,
    ) -> Result<(), Difference> {
        for (index, step) in self.script.steps.iter().enumerate() {
            match step.action {
                Action::Send(bytes) => {
                    self.pause(step.gap).await;
                    let send = async {
                        writer.write_all(bytes).await?;
                        writer.flush().await
                    };
                    if self.in_time(step, send).await? {
                        self.sent.set(self.sent.get() + bytes.len() as u64);
                    }
                }
                Action::EndInput => {
                    self.pause(step.gap).await;
                    self.in_time(step, writer.close()).await?;
                    cut.is_complete.set(true);
                }
                Action::Receive(until) => {
                    self.wait(step, || self.received.get() >= until).await?;
                }
                Action::ReceiveEnd => {
                    self.wait(step, || self.has_ended.get()).await?;
                    // A server that has ended its output may still read.
                    let mut rest = self.script.steps[index + 1..].iter();
                    cut.is_complete.set(!rest.any(Step::is_input));
                }
                Action::Reset => {
                    self.pause(step.gap).await;
                    cut.is_complete.set(false);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Waits for a recorded pause, at the pace of the replay.
    async fn pause(&self, gap: Duration) {
        let seconds = gap.as_secs_f64() / self.replay.pace;
        let pause = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        if !pause.is_zero() {
            self.clock.sleep(pause).await;
        }
    }

    /// Waits until input is taken. Returns false if the peer takes no more: the rest of its answer may
    /// still come.
    async fn in_time(
        &self,
        step: &Step<'_>,
        send: impl Future<Output = io::Result<()>>,
    ) -> Result<bool, Difference> {
        let timeout = self.longest_wait(step);
        match self.clock.timeout(timeout, send).await {
            Ok(sent) => Ok(sent.is_ok()),
            Err(_) => Err(Difference {
                line: step.line,
                ..self.difference(Observed::InputNotTaken(timeout))
            }),
        }
    }

    /// Waits until a part of the answer has arrived.
    async fn wait(&self, step: &Step<'_>, arrived: impl Fn() -> bool) -> Result<(), Difference> {
        // The arrival is seen at the same poll, without a waker of its own.
        let arrival = poll_fn(|_| {
            if arrived() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let timeout = self.longest_wait(step);
        let waited = self.clock.timeout(timeout, arrival).await;
        waited.map_err(|_| self.difference(Observed::Nothing(timeout)))
    }

    /// Returns the time until an event is later than recorded by the timeout. Timers of the server may
    /// run since any event before it, and do not follow the pace.
    fn longest_wait(&self, step: &Step<'_>) -> Duration {
        let recorded = step.at.saturating_sub(self.clock.now() - self.begin);
        recorded.max(step.gap).saturating_add(self.replay.timeout)
    }

    /// Returns the difference behind the bytes that have arrived.
    fn difference(&self, answered: Observed) -> Difference {
        let (answer, offset) = (&self.script.answer, self.received.get());
        let rest = &answer[offset..];
        let recorded = match self.script.ending {
            _ if !rest.is_empty() => {
                Observed::Bytes(rest[..rest.len().min(MAX_TEXT_BYTES)].to_vec())
            }
            Some(Ending::End) => Observed::End,
            _ => Observed::Closed,
        };
        Difference {
            offset: offset as u64,
            line: self.script.line_at(offset),
            time: self.clock.now() - self.begin,
            before: Difference::context(&answer[..offset]),
            recorded,
            answered,
        }
    }
}

impl Drop for CutInput {
    fn drop(&mut self) {
        if !self.is_complete.get() {
            self.peer.abort();
        }
    }
}
