//! The tables, in Markdown.

use crate::options::Options;
use crate::rows::Row;
use crate::stats::{median, paired_ratio, spread};

/// The results of one server.
pub struct Entry {
    pub name: String,
    /// For each round, one figure for each column.
    pub rounds: Vec<Vec<f64>>,
    /// The error that ended the measurement.
    pub failure: Option<String>,
}

impl Entry {
    pub fn new(name: &str) -> Entry {
        Entry {
            name: name.into(),
            rounds: Vec::new(),
            failure: None,
        }
    }

    pub fn column(&self, index: usize) -> Vec<f64> {
        self.rounds.iter().map(|figures| figures[index]).collect()
    }
}

/// Returns the explanation of the tables.
pub fn preface(options: &Options) -> String {
    format!(
        "Medians of {} rounds of {} s. In brackets: ratios to the servers named above a table, taken within each round, their median.\n\
         Spread: largest less smallest of the first column, as a share of the median.\n",
        options.rounds,
        options.duration.as_secs_f64(),
    )
}

/// Formats one row of the comparison as a table of servers.
pub fn table(row: &Row, entries: &[Entry], against: &[String]) -> String {
    let columns = row.columns();
    let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
    let mut lines = vec![
        format!("## {}: {}\n", row.name, row.title),
        format!("Ratios to {}.\n", against.join(" and to ")),
        format!("| server | {} | spread |", titles.join(" | ")),
        format!("|---|{}", "--:|".repeat(columns.len() + 1)),
    ];
    let (measured, failed): (Vec<&Entry>, Vec<&Entry>) =
        entries.iter().partition(|entry| entry.failure.is_none());
    for entry in &measured {
        let mut cells = vec![entry.name.clone()];
        for (index, column) in columns.iter().enumerate() {
            let values = entry.column(index);
            let middle = median(&values).unwrap_or(f64::NAN);
            let ratios = ratios(&values, index, &measured, against);
            cells.push(format!("{} ({ratios})", grouped(middle, column.decimals)));
        }
        let spread =
            spread(&entry.column(0)).map_or(MISSING.into(), |s| format!("{:.0} %", s * 100.0));
        cells.push(spread);
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    for entry in failed {
        let reason = entry.failure.as_deref().unwrap_or_default();
        lines.push(format!("\nNot measured: {}: {reason}", entry.name));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn ratios(values: &[f64], index: usize, measured: &[&Entry], against: &[String]) -> String {
    let ratio = |name: &String| {
        let reference = measured.iter().find(|entry| entry.name == *name)?;
        paired_ratio(values, &reference.column(index))
    };
    let text = |name| ratio(name).map_or(MISSING.into(), |ratio| format!("{ratio:.2}"));
    against.iter().map(text).collect::<Vec<String>>().join(", ")
}

/// Formats a number with commas between thousands.
pub fn grouped(value: f64, decimals: usize) -> String {
    let plain = format!("{value:.decimals$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// The cell of a missing figure.
const MISSING: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(1.456, 2), "1.46");
        assert_eq!(grouped(123.0, 0), "123");
        assert_eq!(grouped(341_900.0, 0), "341,900");
        assert_eq!(grouped(1_234_567.25, 1), "1,234,567.2");
    }

    #[test]
    fn a_table_shows_figures_ratios_and_failures() {
        let row = rows::select(&["idle".into()]).unwrap()[0];
        let entry = |name, rounds| Entry {
            rounds,
            ..Entry::new(name)
        };
        let mut broken = Entry::new("broken");
        broken.failure = Some("the server did not answer within 10 s".into());
        let entries = [
            entry("a", vec![vec![1000.0, 2.0], vec![1000.0, 4.0]]),
            entry("b", vec![vec![500.0, 1.0], vec![500.0, 2.0]]),
            broken,
        ];
        let table = table(&row, &entries, &["b".into(), "c".into()]);
        assert!(
            table.contains("| a | 1,000 (2.00, -) | 3.00 (2.00, -) | 0 % |"),
            "{table}"
        );
        assert!(
            table.contains("| b | 500 (1.00, -) | 1.50 (1.00, -) | 0 % |"),
            "{table}"
        );
        assert!(
            table.ends_with("Not measured: broken: the server did not answer within 10 s\n"),
            "{table}"
        );
    }
}
