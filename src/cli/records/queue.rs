//! A bounded queue of lines for files. Recording never waits.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The capacity of the queue, with what each message takes. The thread may hold the same amount again.
const MAX_QUEUED_BYTES: usize = 16 * 1024 * 1024;
/// Counted for each message, in addition to its text.
const MESSAGE_BYTES: usize = 64;
/// The time for which the thread gathers lines before it writes them.
const GATHER_TIME: Duration = Duration::from_millis(5);

/// Messages that wait for the thread.
#[derive(Default)]
pub(super) struct RecordQueue {
    pending: Mutex<Pending>,
    /// Notified when a first message is queued, and when a flush begins.
    filled: Condvar,
    written: Condvar,
}

/// A message about the file of this name.
pub(super) struct Message {
    pub(super) file: Arc<str>,
    pub(super) what: What,
}

pub(super) enum What {
    /// Whole lines. The first ones make the file.
    Text(String),
    /// Lines from this time on did not fit into the queue.
    Cut(String),
    /// The connection has ended.
    End,
}

/// The messages that the thread takes at once.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) messages: Vec<Message>,
    /// The connections that began while the queue was full, and have no file.
    pub(super) refused: u64,
}

#[derive(Default)]
struct Pending {
    batch: Batch,
    /// The size of the texts in `batch`, with [`MESSAGE_BYTES`] each.
    bytes: usize,
    /// True while the thread writes what it has taken.
    busy: bool,
    /// True once a flush has begun: the thread gathers no longer.
    flushing: bool,
}

/// The lines of one connection, on their way into the queue.
pub(super) struct Sink {
    queue: Arc<RecordQueue>,
    file: Arc<str>,
    state: SinkState,
}

#[derive(PartialEq)]
enum SinkState {
    New,
    Open,
    /// Lines did not fit, so later ones are left out.
    Cut,
    /// The first lines did not fit, so there is no file.
    Refused,
}

impl RecordQueue {
    /// Waits until all messages are written, at most for this time.
    pub(super) fn flush(&self, timeout: Duration) {
        let unwritten = |pending: &mut Pending| pending.busy || !pending.batch.is_empty();
        let mut pending = self.lock();
        pending.flushing = true;
        self.filled.notify_one();
        drop(self.written.wait_timeout_while(pending, timeout, unwritten));
    }

    /// Waits for messages. The ones that were taken before are written now.
    pub(super) fn take(&self) -> Batch {
        let mut pending = self.lock();
        pending.busy = false;
        self.written.notify_all();
        let mut pending = self
            .filled
            .wait_while(pending, |pending| pending.batch.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        pending.busy = true;
        let (mut pending, _) = self
            .filled
            .wait_timeout_while(pending, GATHER_TIME, |pending| !pending.flushing)
            .unwrap_or_else(PoisonError::into_inner);
        pending.bytes = 0;
        mem::take(&mut pending.batch)
    }

    /// Returns false if the text does not fit.
    fn push_text(&self, file: &Arc<str>, text: String) -> bool {
        let mut pending = self.lock();
        let bytes = pending.bytes + text.capacity() + MESSAGE_BYTES;
        if bytes > MAX_QUEUED_BYTES {
            return false;
        }
        pending.bytes = bytes;
        self.push(pending, |batch| batch.push(file, What::Text(text)));
        true
    }

    /// Queues a small message, for which there is always room: each file in the queue has at most one
    /// cut and one end.
    fn push_small(&self, file: &Arc<str>, what: What) {
        self.push(self.lock(), |batch| batch.push(file, what));
    }

    fn refuse(&self) {
        self.push(self.lock(), |batch| batch.refused += 1);
    }

    fn push(&self, mut pending: MutexGuard<'_, Pending>, push: impl FnOnce(&mut Batch)) {
        let first = pending.batch.is_empty();
        push(&mut pending.batch);
        drop(pending);
        if first {
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.refused == 0
    }

    fn push(&mut self, file: &Arc<str>, what: What) {
        let file = file.clone();
        self.messages.push(Message { file, what });
    }
}

impl Sink {
    pub(super) fn new(queue: Arc<RecordQueue>, file: Arc<str>) -> Self {
        let state = SinkState::New;
        Self { queue, file, state }
    }

    /// Queues whole lines. Once some do not fit, the record ends.
    pub(super) fn push(&mut self, text: String) {
        if matches!(self.state, SinkState::Cut | SinkState::Refused) {
            return;
        }
        let time = text.split(' ').next().unwrap_or_default().to_owned();
        if self.queue.push_text(&self.file, text) {
            self.state = SinkState::Open;
            return;
        }
        if self.state == SinkState::New {
            self.state = SinkState::Refused;
            self.queue.refuse();
        } else {
            self.state = SinkState::Cut;
            self.queue.push_small(&self.file, What::Cut(time));
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if matches!(self.state, SinkState::Open | SinkState::Cut) {
            self.queue.push_small(&self.file, What::End);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(queue: &Arc<RecordQueue>, name: &str) -> Sink {
        Sink::new(queue.clone(), name.into())
    }

    /// Text that takes this much of the queue.
    fn lines(bytes: usize) -> String {
        let mut text = "0.5 ".to_owned();
        text.reserve_exact(bytes - MESSAGE_BYTES - text.len());
        text
    }

    /// The messages in the queue, one word each.
    fn queued(queue: &RecordQueue) -> Vec<String> {
        let batch = queue.take();
        let word = |message: &Message| match &message.what {
            What::Text(text) => format!("{} {}", message.file, text.trim()),
            What::Cut(time) => format!("{} cut {time}", message.file),
            What::End => format!("{} end", message.file),
        };
        let refused = (batch.refused > 0).then(|| format!("refused {}", batch.refused));
        batch.messages.iter().map(word).chain(refused).collect()
    }

    #[test]
    fn lines_that_do_not_fit_cut_their_record() {
        let queue = Arc::<RecordQueue>::default();
        let (mut a, mut b) = (sink(&queue, "a"), sink(&queue, "b"));
        a.push(lines(MAX_QUEUED_BYTES / 2));
        b.push(lines(MAX_QUEUED_BYTES / 2));
        b.push("0.6 reset\n".to_owned());
        b.push("0.7 closed\n".to_owned());
        drop((a, b));
        assert_eq!(
            queued(&queue),
            ["a 0.5", "b 0.5", "b cut 0.6", "a end", "b end"]
        );
    }

    #[test]
    fn the_queue_holds_its_capacity_and_no_more() {
        for (bytes, fits) in [
            (MAX_QUEUED_BYTES - 1, true),
            (MAX_QUEUED_BYTES, true),
            (MAX_QUEUED_BYTES + 1, false),
        ] {
            let queue = Arc::<RecordQueue>::default();
            let mut sink = sink(&queue, "a");
            sink.push(lines(bytes));
            drop(sink);
            let expected = if fits {
                &["a 0.5", "a end"][..]
            } else {
                &["refused 1"]
            };
            assert_eq!(queued(&queue), expected, "{bytes}");
            assert!(queue.lock().bytes == 0);
        }
    }

    #[test]
    fn a_record_that_begins_while_the_queue_is_full_is_counted_only() {
        let queue = Arc::<RecordQueue>::default();
        let mut a = sink(&queue, "a");
        a.push(lines(MAX_QUEUED_BYTES));
        for _ in 0..3 {
            sink(&queue, "b").push("halves-record 1\n".to_owned());
        }
        assert_eq!(queued(&queue)[0], "a 0.5");
        let mut b = sink(&queue, "b");
        b.push("halves-record 1\n".to_owned());
        drop((a, b));
        assert_eq!(queued(&queue), ["b halves-record 1", "a end", "b end"]);
    }

    #[test]
    fn a_flush_of_a_thread_that_stalls_ends() {
        let queue = Arc::<RecordQueue>::default();
        queue.flush(Duration::ZERO);
        sink(&queue, "a").push("0.5 reset\n".to_owned());
        queue.flush(Duration::from_millis(1));
        assert_eq!(queued(&queue), ["a 0.5 reset", "a end"]);
    }
}
