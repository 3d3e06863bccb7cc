//! The line on the terminal that shows the bytes so far.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::time::Duration;

use super::traffic::Traffic;
use crate::cli::log::{Level, Lines};
use crate::cli::units::size;

/// The time before the first line.
const FIRST: Duration = Duration::from_secs(1);
/// The time between two lines.
const INTERVAL: Duration = Duration::from_millis(500);
/// Goes to the beginning of the line, and erases it.
const ERASE: &str = "\r\u{1b}[K";

/// A line on standard error that is written again and again.
pub(super) struct Progress<'a> {
    lines: &'a Lines,
    /// True if the output of the peer is on a terminal, too.
    shares_terminal: bool,
    is_shown: Cell<bool>,
}

impl<'a> Progress<'a> {
    /// Returns None if no progress is shown.
    pub(super) fn new(lines: &'a Lines, level: Level) -> Option<Self> {
        let terminals = Terminals {
            input: io::stdin().is_terminal(),
            output: io::stdout().is_terminal(),
            error: io::stderr().is_terminal(),
        };
        terminals.have_progress(level).then(|| Self {
            lines,
            shares_terminal: terminals.output,
            is_shown: Cell::new(false),
        })
    }

    /// Shows the progress of a connection. Never ends.
    pub(super) async fn show(&self, traffic: &Traffic) {
        traffic.sleep(FIRST).await;
        let mut before = 0;
        let mut interval = FIRST;
        while !self.shares_terminal || traffic.bytes_in() == 0 {
            let bytes = traffic.bytes_in() + traffic.bytes_out();
            let line = line(traffic, bytes - before, interval);
            self.lines.print(&format!("{ERASE}{line}"));
            self.is_shown.set(true);
            (before, interval) = (bytes, INTERVAL);
            traffic.sleep(INTERVAL).await;
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

fn line(traffic: &Traffic, bytes: u64, interval: Duration) -> String {
    let rate = u128::from(bytes) * 1000 / interval.as_millis().max(1);
    let rate = u64::try_from(rate).unwrap_or(u64::MAX);
    format!(
        "{} in, {} out, {}/s, {}s",
        size(traffic.bytes_in()),
        size(traffic.bytes_out()),
        size(rate),
        traffic.age().as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use halves::Clock;

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
        let (clock, manual) = Clock::manual();
        let traffic = Traffic::new(clock);
        manual.advance(Duration::from_millis(61_500));
        traffic.received(3 << 20);
        traffic.sent(10);
        assert_eq!(
            line(&traffic, 1 << 20, INTERVAL),
            "3.0 MiB in, 10 B out, 2.0 MiB/s, 61s"
        );
    }
}
