//! Blocked: the handler of one connection blocks its thread while the others send messages.

use super::{ANSWER_TIMEOUT, Exchange, open};
use crate::histogram::Histogram;
use crate::peer::BLOCK;
use crate::place::{Place, Stream};
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// Open connections; the handler of any can be made to block.
pub struct Blocked {
    streams: Vec<Stream>,
    light: Exchange,
    blocking: Exchange,
    buffer: Vec<u8>,
}

impl Blocked {
    pub fn open(place: &Place, count: usize, message: usize) -> io::Result<Blocked> {
        let light = Exchange::new(message);
        Ok(Blocked {
            streams: open(count, &light, || place.connect(ANSWER_TIMEOUT))?,
            light,
            blocking: Exchange::with_work(message, BLOCK),
            buffer: vec![0; message],
        })
    }

    /// Makes the handler of one connection block for `time`, and records the latencies of the
    /// others meanwhile.
    ///
    /// The others take turns: only one message is under way at a time, so that none waits for
    /// another message.
    pub fn run(
        &mut self,
        blocker: usize,
        time: Duration,
        latencies: &mut Histogram,
    ) -> io::Result<()> {
        self.streams[blocker].write_all(&self.blocking.question)?;
        let start = Instant::now();
        let mut begun = start;
        let others = (0..self.streams.len()).filter(|&index| index != blocker);
        for index in others.cycle() {
            if begun - start >= time {
                break;
            }
            self.light
                .perform(&mut self.streams[index], &mut self.buffer)?;
            let now = Instant::now();
            latencies.record(now - begun);
            begun = now;
        }
        self.streams[blocker].read_exact(&mut self.buffer)?;
        self.blocking.check(&self.buffer)
    }
}
