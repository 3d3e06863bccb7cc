//! Prepares the words of the command line for argh, which has no `--option=value` and no
//! suggestions for misspelled options and commands.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};

/// The words that ask for help in the place of any option or command.
const HELP_WORDS: [&str; 3] = ["-h", "--help", "help"];

/// Words in the form that argh takes.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) words: Vec<String>,
    /// True if a required positional argument is missing.
    pub(super) lacks_argument: bool,
}

impl Words {
    /// Splits each `--option=value` into two words. The word after an option that takes a value is
    /// that value, and after `--` no word is an option.
    ///
    /// Returns an error for an unknown option or command, and for a value after an option that
    /// takes none.
    pub(super) fn new(given: Vec<String>, root: &CommandInfoWithArgs) -> Result<Self, String> {
        let (mut words, mut command) = (Vec::with_capacity(given.len()), root);
        let (mut arguments, mut has_help) = (0, false);
        let mut given = given.into_iter();
        while let Some(word) = given.next() {
            match &*word {
                word if HELP_WORDS.contains(&word) => has_help = true,
                "--" => arguments += given.len(),
                option if option.starts_with('-') => {
                    let (name, value) = option_and_value(option);
                    let takes_value = takes_value(name, command)?;
                    words.push(name.to_owned());
                    match value {
                        Some(_) if !takes_value => return Err(format!("{name} takes no value")),
                        Some(value) => words.push(value.to_owned()),
                        None if takes_value => words.extend(given.next()),
                        None => {}
                    }
                    continue;
                }
                name if !command.commands.is_empty() => command = find_command(name, command)?,
                _ => arguments += 1,
            }
            let options_end = word == "--";
            words.push(word);
            if options_end {
                words.extend(given.by_ref());
            }
        }
        let required = command.positionals.iter();
        let required = required.filter(|it| it.optionality == Optionality::Required);
        Ok(Self {
            words,
            lacks_argument: !has_help && arguments < required.count(),
        })
    }
}

/// Splits `--option=value`. A short option has no value in the same word.
fn option_and_value(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((name, value)) if name.starts_with("--") => (name, Some(value)),
        _ => (word, None),
    }
}

/// Returns true if this option of a command takes a value, and an error if the option is unknown.
fn takes_value(name: &str, command: &CommandInfoWithArgs) -> Result<bool, String> {
    let flags = command.flags;
    if let Some(flag) = flags.iter().find(|flag| has_name(flag, name)) {
        return Ok(matches!(flag.kind, FlagInfoKind::Option { .. }));
    }
    for owner in &command.commands {
        if owner.command.flags.iter().any(|flag| has_name(flag, name)) {
            return Err(format!("{name} comes after the command '{}'", owner.name));
        }
    }
    let meant = nearest(name, flags.iter().map(|flag| flag.long));
    Err(did_you_mean(&format!("unknown option '{name}'"), meant))
}

fn has_name(flag: &FlagInfo<'_>, name: &str) -> bool {
    let short = name.strip_prefix('-').and_then(|short| {
        let mut letters = short.chars();
        letters.next().filter(|_| letters.next().is_none())
    });
    flag.long == name || (short.is_some() && flag.short == short)
}

fn find_command<'a>(
    name: &str,
    command: &'a CommandInfoWithArgs,
) -> Result<&'a CommandInfoWithArgs, String> {
    let mut all = command.commands.iter();
    if let Some(found) = all.find(|command| command.name == name) {
        return Ok(&found.command);
    }
    let meant = nearest(name, command.commands.iter().map(|command| command.name));
    Err(did_you_mean(&format!("unknown command '{name}'"), meant))
}

/// Returns the candidate with the smallest distance to `word`, if that is at most a third of the
/// letters of the candidate. Returns the first of several.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let near = candidates.into_iter().filter_map(|candidate| {
        let distance = distance(word, candidate);
        let max = (candidate.chars().count() / 3).max(1);
        (distance <= max).then_some((distance, candidate))
    });
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Appends `; did you mean 'X'?` to a problem, if there is an X.
pub(super) fn did_you_mean(problem: &str, meant: Option<&str>) -> String {
    match meant {
        Some(meant) => format!("{problem}; did you mean '{meant}'?"),
        None => problem.to_owned(),
    }
}

/// Returns the Levenshtein distance: the number of letters added, removed or replaced.
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
    fn only_a_near_word_is_suggested() {
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
