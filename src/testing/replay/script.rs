//! The steps of a replay, from a record: the input with its pauses, and the expected answer.

use std::time::Duration;

use crate::testing::record::{MAX_DATA_BYTES, Record, Recorded};

/// The input and the expected answer of a record.
#[derive(Debug)]
pub(super) struct Script<'a> {
    pub(super) steps: Vec<Step<'a>>,
    /// The whole answer.
    pub(super) answer: Vec<u8>,
    /// The end of the answer. None if the record is cut before it, or the connection reset.
    pub(super) ending: Option<Ending>,
    /// The offset in the answer at which each line of output begins, and the number of the line.
    output_lines: Vec<(usize, usize)>,
    ending_line: Option<usize>,
    last_line: usize,
}

/// One event of the record.
#[derive(Debug)]
pub(super) struct Step<'a> {
    /// The time since the begin of the record.
    pub(super) at: Duration,
    /// The time since the event before.
    pub(super) gap: Duration,
    pub(super) line: usize,
    pub(super) action: Action<'a>,
}

/// The part of a client in one event.
#[derive(Debug)]
pub(super) enum Action<'a> {
    Send(&'a [u8]),
    EndInput,
    /// Waits until so many bytes of the answer have arrived.
    Receive(usize),
    /// Waits until the answer has ended.
    ReceiveEnd,
    Reset,
}

/// The end of a recorded answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The output has ended in order.
    End,
    /// The halves were dropped. The record does not have the end that followed.
    Closed,
}

impl Step<'_> {
    /// Returns true for bytes of input, or its end.
    pub(super) fn is_input(&self) -> bool {
        matches!(self.action, Action::Send(_) | Action::EndInput)
    }
}

impl<'a> Script<'a> {
    pub(super) fn new(record: &'a Record) -> Self {
        let mut script = Self {
            steps: Vec::with_capacity(record.events.len()),
            answer: Vec::new(),
            ending: None,
            output_lines: Vec::new(),
            ending_line: None,
            last_line: header_lines(record),
        };
        let mut before = Duration::ZERO;
        for event in &record.events {
            let line = script.last_line + 1;
            let Some(action) = script.action(&event.what, line) else {
                break;
            };
            script.last_line += event_lines(&event.what);
            script.steps.push(Step {
                at: event.at,
                gap: event.at.saturating_sub(before),
                line,
                action,
            });
            before = event.at;
            // The rest of the answer was lost.
            if event.what == Recorded::Reset {
                break;
            }
        }
        script
    }

    /// Returns the action of an event, or None if the record is cut there.
    fn action(&mut self, event: &'a Recorded, line: usize) -> Option<Action<'a>> {
        Some(match event {
            Recorded::In(bytes) => Action::Send(bytes),
            Recorded::InEnd => Action::EndInput,
            Recorded::Out(bytes) => {
                for (index, part) in bytes.chunks(MAX_DATA_BYTES).enumerate() {
                    self.output_lines.push((self.answer.len(), line + index));
                    self.answer.extend_from_slice(part);
                }
                Action::Receive(self.answer.len())
            }
            Recorded::OutEnd => {
                self.end(Ending::End, line);
                Action::ReceiveEnd
            }
            Recorded::Closed => {
                self.end(Ending::Closed, line);
                Action::ReceiveEnd
            }
            Recorded::Reset => Action::Reset,
            Recorded::Cut(_) => return None,
        })
    }

    /// Takes the first end.
    fn end(&mut self, ending: Ending, line: usize) {
        self.ending.get_or_insert(ending);
        self.ending_line.get_or_insert(line);
    }

    /// Returns the line with this byte of the answer, or that of its end.
    pub(super) fn line_at(&self, offset: usize) -> usize {
        let lines = &self.output_lines;
        let next = lines.partition_point(|(begin, _)| *begin <= offset);
        match next.checked_sub(1) {
            Some(index) if offset < self.answer.len() => lines[index].1,
            _ => self.ending_line.unwrap_or(self.last_line),
        }
    }
}

/// Returns the number of lines in front of the events.
fn header_lines(record: &Record) -> usize {
    let addresses = [&record.client, &record.server];
    let addresses = addresses.iter().filter(|it| !it.is_empty()).count();
    1 + addresses + usize::from(record.began.is_some())
}

/// Returns the number of lines of an event.
fn event_lines(event: &Recorded) -> usize {
    match event {
        Recorded::In(bytes) | Recorded::Out(bytes) => bytes.len().div_ceil(MAX_DATA_BYTES),
        _ => 1,
    }
}
