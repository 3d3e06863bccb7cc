//! The line on the terminal that shows the bytes so far.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::time::Duration;

use halves::Clock;

use super::log::{Level, Lines};
use super::units::size;

/// The time before the first line.
const FIRST: Duration = Duration::from_secs(1);
/// The time between two lines.
const INTERVAL: Duration = Duration::from_millis(500);
/// Goes to the beginning of the line, and erases it.
const ERASE: &str = "\r\u{1b}[K";

/// A line on standard error that is written again and again.
pub(super) struct Progress<'a> {
    lines: &'a Lines,
    /// True if the output of the peer is on the terminal, too: it is shown until that begins.
    shares_terminal: bool,
    is_shown: Cell<bool>,
}

impl<'a> Progress<'a> {
    /// Returns None if no progress is shown beside standard input and output.
    pub(super) fn of_dialogue(lines: &'a Lines, level: Level) -> Option<Self> {
        let terminals = Terminals {
            input: io::stdin().is_terminal(),
            output: io::stdout().is_terminal(),
            error: io::stderr().is_terminal(),
        };
        terminals
            .have_progress(level)
            .then(|| Self::new(lines, terminals.output))
    }

    /// Returns None if no progress is shown of a command that prints nothing meanwhile.
    pub(super) fn of_silence(lines: &'a Lines, level: Level) -> Option<Self> {
        let is_shown = io::stderr().is_terminal() && level >= Level::Normal;
        is_shown.then(|| Self::new(lines, false))
    }

    fn new(lines: &'a Lines, shares_terminal: bool) -> Self {
        Self {
            lines,
            shares_terminal,
            is_shown: Cell::new(false),
        }
    }

    /// Shows the progress of a connection, with its bytes so far. Never ends.
    pub(super) async fn show(&self, clock: &Clock, bytes: impl Fn() -> Bytes) {
        let begin = clock.now();
        clock.sleep(FIRST).await;
        let mut before = 0;
        let mut interval = FIRST;
        while !self.shares_terminal || bytes().received == 0 {
            let bytes = bytes();
            let sum = bytes.received + bytes.sent;
            let line = line(bytes, sum - before, interval, clock.now() - begin);
            self.lines.print(&format!("{ERASE}{line}"));
            self.is_shown.set(true);
            (before, interval) = (sum, INTERVAL);
            clock.sleep(INTERVAL).await;
        }
        self.erase();
        std::future::pending::<()>().await;
    }

    fn erase(&self) {
        if self.is_shown.replace(false) {
            self.lines.print(ERASE);
        }
    }
}

/// Removes the line, also after a signal.
impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.erase();
    }
}

/// The bytes of a connection so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes {
    pub(super) received: u64,
    pub(super) sent: u64,
}

/// The standard streams that are terminals.
#[derive(Clone, Copy, Debug)]
struct Terminals {
    input: bool,
    output: bool,
    error: bool,
}

impl Terminals {
    /// Returns true if there is a terminal for the progress, and no dialogue on it.
    fn have_progress(self, level: Level) -> bool {
        let is_dialogue = self.input && self.output;
        self.error && !is_dialogue && level >= Level::Normal
    }
}

fn line(bytes: Bytes, moved: u64, interval: Duration, age: Duration) -> String {
    let rate = u128::from(moved) * 1000 / interval.as_millis().max(1);
    let rate = u64::try_from(rate).unwrap_or(u64::MAX);
    format!(
        "{} in, {} out, {}/s, {}s",
        size(bytes.received),
        size(bytes.sent),
        size(rate),
        age.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_without_a_dialogue_has_progress() {
        for (input, output, error, has_progress) in [
            (false, false, true, true),
            (true, false, true, true),
            (false, true, true, true),
            (true, true, true, false),
            (false, false, false, false),
            (true, false, false, false),
        ] {
            let terminals = Terminals {
                input,
                output,
                error,
            };
            assert_eq!(
                terminals.have_progress(Level::Normal),
                has_progress,
                "{terminals:?}"
            );
            assert!(!terminals.have_progress(Level::Quiet));
        }
    }

    #[test]
    fn a_line_has_bytes_rate_and_time() {
        let bytes = Bytes {
            received: 3 << 20,
            sent: 10,
        };
        assert_eq!(
            line(bytes, 1 << 20, INTERVAL, Duration::from_millis(61_500)),
            "3.0 MiB in, 10 B out, 2.0 MiB/s, 61s"
        );
    }
}
