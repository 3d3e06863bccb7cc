//! The table of the ladder, in Markdown.

use super::{Figures, LARGEST_LOAD, LOADS, Outcome, StepResult};
use crate::options::Options;
use crate::report::grouped;

/// Formats the results, one line for each step.
pub fn table(options: &Options, results: &[StepResult]) -> String {
    let mut lines = vec![
        format!(
            "Medians of {} rounds of {} s. Echoes a second, and in brackets the 99th percentile of how long one \
             took. On one core: a second of what server and client had of it together; on two: a second. Memory, \
             threads and processes: with 1,000 connections.\n",
            options.rounds,
            options.duration.as_secs_f64()
        ),
        format!(
            "| | {} | memory per connection | threads | processes |",
            LOADS.map(|load| load.title).join(" | ")
        ),
        format!("|---|{}", "--:|".repeat(LOADS.len() + 3)),
    ];
    for result in results {
        let mut cells = vec![result.step.server.name.clone()];
        cells.extend(result.outcomes.iter().map(speed));
        cells.extend(match &result.outcomes[LARGEST_LOAD] {
            Outcome::Measured(figures) => [
                bytes(figures.bytes_per_connection),
                grouped(figures.threads, 0),
                grouped(figures.processes, 0),
            ],
            _ => [(); 3].map(|()| MISSING_FIGURE.into()),
        });
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn speed(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Measured(Figures {
            echoes_per_second,
            p99_us,
            ..
        }) => format!("{} ({})", grouped(*echoes_per_second, 0), time(*p99_us)),
        Outcome::OneAtATime => "one at a time".into(),
        Outcome::Failed(reason) => format!("failed: {reason}"),
        Outcome::NotTried => MISSING_FIGURE.into(),
    }
}

fn time(us: f64) -> String {
    match us {
        ..1000.0 => format!("{us:.0} µs"),
        1000.0..10_000.0 => format!("{:.1} ms", us / 1e3),
        _ => format!("{:.0} ms", us / 1e3),
    }
}

/// Formats a size, in KiB if that is shorter.
pub fn bytes(bytes: f64) -> String {
    match bytes {
        ..10_000.0 => format!("{} B", grouped(bytes, 0)),
        _ => format!("{} KiB", grouped(bytes / 1024.0, 0)),
    }
}

/// The cell of a missing figure.
const MISSING_FIGURE: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_fit_their_figures() {
        assert_eq!(
            [12.3, 1234.0, 56_789.0].map(time),
            ["12 µs", "1.2 ms", "57 ms"]
        );
        assert_eq!(
            [394.0, 9_999.0, 20_480.0].map(bytes),
            ["394 B", "9,999 B", "20 KiB"]
        );
    }

    #[test]
    fn a_step_without_figures_shows_its_reason() {
        assert_eq!(speed(&Outcome::OneAtATime), "one at a time");
        assert_eq!(speed(&Outcome::Failed("why".into())), "failed: why");
        assert_eq!(speed(&Outcome::NotTried), "-");
        let figures = Figures {
            echoes_per_second: 12_345.6,
            p99_us: 78.0,
            bytes_per_connection: 1.0,
            threads: 1.0,
            processes: 1.0,
        };
        assert_eq!(speed(&Outcome::Measured(figures)), "12,346 (78 µs)");
    }
}
