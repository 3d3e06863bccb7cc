//! `Sort`: the order of `top`.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use crate::cli::admin::ConnectionRow;

/// The key by which connections are sorted, the highest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Sort {
    Bytes,
    Rate,
    Age,
    Idle,
}

impl Sort {
    const ALL: [Self; 4] = [Self::Bytes, Self::Rate, Self::Age, Self::Idle];

    /// Returns the order that a key of the keyboard selects.
    pub(super) fn of_key(key: u8) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|sort| sort.name().as_bytes().first() == Some(&key))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Rate => "rate",
            Self::Age => "age",
            Self::Idle => "idle",
        }
    }

    /// Sorts connections. Equal ones keep their order.
    pub(super) fn sort(self, rows: &mut [ConnectionRow]) {
        rows.sort_by_key(|row| {
            Reverse(match self {
                Self::Bytes => row.bytes_in.saturating_add(row.bytes_out),
                Self::Rate => row.in_rate.saturating_add(row.out_rate),
                Self::Age => row.age_ms,
                Self::Idle => row.idle_ms,
            })
        });
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Sort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|sort| sort.name() == text);
        found.ok_or_else(|| "not an order; write bytes, rate, age or idle".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ctl::tests::row;

    #[test]
    fn the_highest_is_first() {
        let mut rows = [row(1), row(2), row(3)];
        rows[1].bytes_out = 5000;
        rows[2].in_rate = 9;
        rows[0].age_ms = 100_000;
        rows[2].idle_ms = 70_000;
        for (sort, first) in [
            (Sort::Bytes, 2),
            (Sort::Rate, 3),
            (Sort::Age, 1),
            (Sort::Idle, 3),
        ] {
            sort.sort(&mut rows);
            assert_eq!(rows[0].id, first, "{sort}");
            assert_eq!(sort.to_string().parse(), Ok(sort));
            assert_eq!(Sort::of_key(sort.name().as_bytes()[0]), Some(sort));
        }
        assert_eq!(Sort::of_key(b'q'), None);
    }
}
