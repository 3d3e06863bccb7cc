//! The word that was probably meant.

/// The candidate with the fewest letters that differ, if these are at most a third of its letters. Of
/// several, the first.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let near = candidates.into_iter().filter_map(|candidate| {
        let distance = distance(word, candidate);
        let most = (candidate.chars().count() / 3).max(1);
        (distance <= most).then_some((distance, candidate))
    });
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Appends `; did you mean 'X'?` to a problem, where there is an X.
pub(super) fn did_you_mean(problem: &str, meant: Option<&str>) -> String {
    match meant {
        Some(meant) => format!("{problem}; did you mean '{meant}'?"),
        None => problem.to_owned(),
    }
}

/// Levenshtein's distance: letters added, removed or replaced.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (n, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = n + 1;
        for (m, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[m + 1];
            row[m + 1] = replaced.min(row[m] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_letters() {
        for (one, other, letters) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("serv", "serve", 1),
            ("lisen", "listen", 1),
            ("lsiten", "listen", 2),
            ("kitten", "sitting", 3),
            ("über", "uber", 1),
        ] {
            assert_eq!(distance(one, other), letters, "{one} {other}");
        }
    }

    #[test]
    fn only_what_is_near_is_meant() {
        let options = ["listen", "log", "lifetime", "allow"];
        for (word, meant) in [
            ("lisen", Some("listen")),
            ("logs", Some("log")),
            ("life-time", Some("lifetime")),
            ("deny", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, options), meant, "{word}");
        }
    }
}
