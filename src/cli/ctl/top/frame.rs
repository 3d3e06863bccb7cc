//! The frames of `top`.

use std::io;

use super::keys::Key;
use crate::cli::admin::{ConnectionRow, StatsRow};
use crate::cli::ctl::Sort;
use crate::cli::ctl::print::{counts, head, split};
use crate::cli::ctl::table::{cut, table};
use crate::cli::units::size;

/// The lines around the connections: two of statistics, rates, the titles and the keys.
const OTHER_LINES: usize = 5;
/// Inverts the colors of a line.
const INVERSE: &str = "\x1b[7m";
const PLAIN: &str = "\x1b[0m";

/// One answer of the server.
pub(super) struct Look {
    stats: StatsRow,
    rows: Vec<ConnectionRow>,
    /// Bytes a second since the look before, or else since the start.
    in_rate: u64,
    out_rate: u64,
}

/// The part of a look that is shown, and its order.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    sort: Sort,
    /// The first connection that is shown.
    first: usize,
    /// The connections on a page, as of the last frame.
    page: usize,
}

impl Look {
    pub(super) fn new(answer: &[String], last: Option<&Self>) -> io::Result<Self> {
        let (rows, others) = split(answer);
        let stats = others
            .first()
            .and_then(|line| serde_json::from_str(line).ok());
        let stats: StatsRow =
            stats.ok_or_else(|| io::Error::other("no statistics in the answer"))?;
        let (before, bytes_in, bytes_out) = last.map_or((0, 0, 0), |last| {
            let stats = &last.stats;
            (stats.uptime_ms, stats.bytes_in, stats.bytes_out)
        });
        let millis = stats.uptime_ms.saturating_sub(before).max(1);
        let rate = |now: u64, before: u64| now.saturating_sub(before).saturating_mul(1000) / millis;
        Ok(Self {
            in_rate: rate(stats.bytes_in, bytes_in),
            out_rate: rate(stats.bytes_out, bytes_out),
            stats,
            rows,
        })
    }

    pub(super) fn connections(&self) -> usize {
        self.rows.len()
    }

    fn sorted(&self, sort: Sort) -> Vec<ConnectionRow> {
        let mut rows = self.rows.clone();
        sort.sort(&mut rows);
        rows
    }

    fn rates(&self) -> String {
        format!("in {}/s, out {}/s", size(self.in_rate), size(self.out_rate))
    }
}

impl View {
    pub(super) fn new(sort: Sort) -> Self {
        Self {
            sort,
            first: 0,
            page: 1,
        }
    }

    /// Follows a key. There are so many `connections`.
    pub(super) fn press(&mut self, key: Key, connections: usize) {
        let last = connections.saturating_sub(1);
        match key {
            Key::Sort(sort) => (self.sort, self.first) = (sort, 0),
            Key::Up => self.first = self.first.saturating_sub(1),
            Key::Down => self.first = (self.first + 1).min(last),
            Key::PageUp => self.first = self.first.saturating_sub(self.page),
            Key::PageDown => self.first = (self.first + self.page).min(last),
            Key::Quit => {}
        }
    }

    /// Returns the lines of a terminal of this size.
    pub(super) fn frame(&mut self, look: &Look, rows: usize, columns: usize) -> Vec<String> {
        self.page = rows.saturating_sub(OTHER_LINES).max(1);
        self.first = self.first.min(look.connections().saturating_sub(1));
        let sorted = look.sorted(self.sort);
        let end = (self.first + self.page).min(sorted.len());
        let mut lines = vec![
            cut(&head(&look.stats), columns),
            cut(&counts(&look.stats), columns),
            cut(&look.rates(), columns),
        ];
        lines.extend(table(&sorted[self.first..end], columns));
        let titles = &lines[3];
        lines[3] = format!("{INVERSE}{titles:<columns$}{PLAIN}");
        lines.truncate(rows.saturating_sub(1));
        lines.resize(rows.saturating_sub(1), String::new());
        let range = if end == 0 { 0 } else { self.first + 1 };
        let keys = format!(
            "q quit  b bytes  r rate  a age  i idle  (by {})  {range}-{end} of {}",
            self.sort,
            sorted.len()
        );
        lines.push(cut(&keys, columns));
        lines
    }

    /// Returns text with at most this many connections.
    pub(super) fn plain(&self, look: &Look, max: usize) -> String {
        let sorted = look.sorted(self.sort);
        let shown = &sorted[..sorted.len().min(max)];
        let mut lines = vec![head(&look.stats), counts(&look.stats), look.rates()];
        lines.extend(table(shown, usize::MAX));
        if shown.len() < sorted.len() {
            lines.push(format!("and {} more", sorted.len() - shown.len()));
        }
        lines.join("\n") + "\n\n"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cli::ctl::tests::row;

    fn stats(uptime_ms: u64, bytes_in: u64) -> StatsRow {
        StatsRow {
            service: "upper".to_owned(),
            version: "1.2.3".to_owned(),
            pid: 5,
            uptime_ms,
            phase: "serving".to_owned(),
            open: 3,
            accepted: 9,
            ended: BTreeMap::from([("eof".to_owned(), 6)]),
            bytes_in,
            bytes_out: 0,
            unsent: 0,
            accept_errors: 0,
            limit_episodes: 0,
            listeners: Vec::new(),
        }
    }

    fn look(connections: u64) -> Look {
        let rows = (1..=connections).map(|id| serde_json::to_string(&row(id)));
        let stats = serde_json::to_string(&stats(2000, 4096));
        let answer = std::iter::once(stats)
            .chain(rows)
            .map(|line| line.expect("JSON"));
        Look::new(&answer.collect::<Vec<_>>(), None).expect("a look")
    }

    #[test]
    fn a_frame_is_as_large_as_the_terminal() {
        for (rows, columns) in [(24, 80), (6, 40), (5, 10), (1, 1), (60, 300)] {
            let frame = View::new(Sort::Bytes).frame(&look(30), rows, columns);
            assert_eq!(frame.len(), rows, "{frame:#?}");
            for line in frame {
                let shown = line.replace(INVERSE, "").replace(PLAIN, "");
                assert!(shown.chars().count() <= columns, "{line}");
            }
        }
    }

    #[test]
    fn a_frame_has_statistics_connections_and_keys() {
        let frame = View::new(Sort::Age).frame(&look(2), 8, 100);
        assert_eq!(frame[0], "halves 1.2.3 upper, pid 5, up 2s, serving");
        assert_eq!(
            frame[1],
            "open 3, accepted 9, in 4.0 KiB, out 0 B; ended: eof 6"
        );
        assert_eq!(frame[2], "in 2.0 KiB/s, out 0 B/s");
        assert!(frame[4].starts_with("   1  192.0.2.7:1"), "{frame:#?}");
        assert!(frame[7].ends_with("(by age)  1-2 of 2"), "{frame:#?}");
    }

    #[test]
    fn rates_are_those_since_the_look_before() {
        let line = |stats| serde_json::to_string(&stats).expect("JSON");
        let first = Look::new(&[line(stats(1000, 100))], None).expect("a look");
        let second = Look::new(&[line(stats(1500, 200))], Some(&first)).expect("a look");
        assert_eq!((first.in_rate, second.in_rate), (100, 200));
    }

    #[test]
    fn keys_scroll_within_the_connections() {
        let mut view = View::new(Sort::Bytes);
        view.frame(&look(30), OTHER_LINES + 10, 80);
        for (key, first) in [
            (Key::Up, 0),
            (Key::Down, 1),
            (Key::PageDown, 11),
            (Key::PageDown, 21),
            (Key::PageDown, 29),
            (Key::Down, 29),
            (Key::PageUp, 19),
            (Key::Sort(Sort::Idle), 0),
        ] {
            view.press(key, 30);
            assert_eq!(view.first, first, "{key:?}");
        }
        view.first = 29;
        let frame = view.frame(&look(3), 24, 80);
        assert!(frame[23].ends_with("3-3 of 3"), "{frame:#?}");
    }

    #[test]
    fn plain_lines_name_the_connections_that_are_left_out() {
        let plain = View::new(Sort::Bytes).plain(&look(3), 2);
        assert!(plain.ends_with("and 1 more\n\n"), "{plain}");
        assert_eq!(View::new(Sort::Bytes).plain(&look(2), 2).lines().count(), 7);
    }
}
