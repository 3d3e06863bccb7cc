//! A table of connections, as wide as its contents or as the terminal.

use halves::escape::OneLine;

use crate::cli::admin::ConnectionRow;
use crate::cli::units::{size, time};

/// The space between two columns.
const GAP: usize = 2;

/// A column.
struct Column {
    title: &'static str,
    cell: fn(&ConnectionRow) -> String,
    /// Numbers are aligned at their right end.
    is_number: bool,
    /// Columns with the highest number are left out first where the terminal is too narrow.
    rank: u8,
}

const COLUMNS: [Column; 13] = [
    number("CONN", 0, |row| row.id.to_string()),
    text("PEER", 0, |row| OneLine(&row.peer).to_string()),
    text("LOCAL", 9, |row| OneLine(&row.local).to_string()),
    text("PHASE", 6, |row| row.phase.clone()),
    number("AGE", 3, |row| time(row.age_ms)),
    number("IDLE", 2, |row| time(row.idle_ms)),
    number("IN", 4, |row| size(row.bytes_in)),
    number("OUT", 4, |row| size(row.bytes_out)),
    number("IN/s", 5, |row| size(row.in_rate)),
    number("OUT/s", 5, |row| size(row.out_rate)),
    text("WAITS", 1, |row| {
        format!("{} {}", row.waits, time(row.waiting_ms))
    }),
    number("UNSENT", 7, |row| {
        row.unsent.map_or_else(dash, |bytes| size(bytes as u64))
    }),
    text("DEADLINE", 8, |row| {
        let left = row.deadline_ms.map(time).unwrap_or_default();
        row.deadline
            .as_ref()
            .map_or_else(dash, |kind| format!("{kind} {left}"))
    }),
];

const fn number(title: &'static str, rank: u8, cell: fn(&ConnectionRow) -> String) -> Column {
    Column {
        title,
        cell,
        is_number: true,
        rank,
    }
}

const fn text(title: &'static str, rank: u8, cell: fn(&ConnectionRow) -> String) -> Column {
    Column {
        is_number: false,
        ..number(title, rank, cell)
    }
}

fn dash() -> String {
    "-".to_owned()
}

/// Returns the line of titles, and a line for each connection. No line is longer than `width`: columns
/// are left out, and at last the lines are cut.
pub(super) fn table(rows: &[ConnectionRow], width: usize) -> Vec<String> {
    let mut columns: Vec<_> = COLUMNS.iter().map(|column| cells(column, rows)).collect();
    while total(&columns) > width
        && let Some(last) = (0..columns.len()).max_by_key(|&n| columns[n].0.rank)
        && columns[last].0.rank > 0
    {
        columns.remove(last);
    }
    let lines = (0..=rows.len()).map(|n| {
        let cells = columns.iter().map(|(column, width, cells)| {
            let cell = &cells[n];
            if column.is_number {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            }
        });
        let line = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
        cut(line.trim_end(), width)
    });
    lines.collect()
}

/// Returns the width of a column, and its cells with the title.
fn cells<'a>(column: &'a Column, rows: &[ConnectionRow]) -> (&'a Column, usize, Vec<String>) {
    let title = std::iter::once(column.title.to_owned());
    let cells: Vec<_> = title.chain(rows.iter().map(column.cell)).collect();
    let width = cells.iter().map(|cell| cell.chars().count()).max();
    (column, width.unwrap_or_default(), cells)
}

fn total(columns: &[(&Column, usize, Vec<String>)]) -> usize {
    let widths = columns.iter().map(|(_, width, _)| width + GAP);
    widths.sum::<usize>().saturating_sub(GAP)
}

/// Returns at most this many characters of a line.
pub(super) fn cut(line: &str, width: usize) -> String {
    line.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ctl::tests::row;

    #[test]
    fn every_column_is_shown_where_there_is_room() {
        let lines = table(&[row(7)], usize::MAX);
        assert_eq!(
            lines[0],
            "CONN  PEER         LOCAL        PHASE    AGE   IDLE       IN  OUT  IN/s  OUT/s  WAITS       UNSENT  DEADLINE"
        );
        assert_eq!(
            lines[1],
            "   7  192.0.2.7:1  127.0.0.1:7  open   1m01s  1m01s  1.0 KiB  2 B   0 B    5 B  read 1m01s     0 B  idle 4m00s"
        );
    }

    #[test]
    fn a_narrow_terminal_has_the_columns_that_matter_most() {
        let titles = |width| table(&[row(7)], width)[0].clone();
        assert!(!titles(90).contains("LOCAL"));
        for width in 0..200 {
            let lines = table(&[row(7), row(1000)], width);
            assert_eq!(lines.len(), 3);
            assert!(lines.iter().all(|line| line.chars().count() <= width));
        }
        assert_eq!(titles(30), "CONN  PEER         WAITS");
        assert_eq!(titles(6), "CONN  ");
    }

    #[test]
    fn a_name_of_a_client_stays_on_its_line() {
        let mut hostile = row(1);
        hostile.peer = "unix:/a\n\u{1b}[2J".to_owned();
        let lines = table(&[hostile], usize::MAX);
        assert!(!lines[1].contains(['\n', '\u{1b}']), "{lines:?}");
    }
}
