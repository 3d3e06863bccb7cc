//! Prepares the words of the command line for argh, which has no `--option=value` and no
//! suggestions for misspelled options and commands.

use std::ffi::{OsStr, OsString};

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};

/// The words that ask for help in the place of any option or command.
pub(super) const HELP_WORDS: [&str; 3] = ["-h", "--help", "help"];

/// The facts about a command that argh does not know.
#[derive(Debug)]
pub(super) struct Grammar {
    pub(super) command: &'static str,
    /// True if the command has the options of every server.
    pub(super) is_server: bool,
    /// True if the first positional argument is a program, and the words after it are for that.
    pub(super) runs_program: bool,
}

/// Words in the form that argh takes.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// The words of the command up to `--`, without the options of every server.
    pub(super) own: Vec<String>,
    /// `--` and the words after it.
    pub(super) rest: Vec<String>,
    /// The options of every server, and their values.
    pub(super) server: Vec<String>,
    /// A program and its arguments, unchanged.
    pub(super) program: Vec<OsString>,
    /// The command that the words name.
    pub(super) command: Option<&'static str>,
    /// The long names of the options that are given, with their hyphens.
    pub(super) given: Vec<String>,
    /// True if a required positional argument is missing.
    pub(super) lacks_argument: bool,
}

impl Words {
    /// Splits each `--option=value` into two words. The word after an option that takes a value is
    /// that value, and after `--` no word is an option. A program and the words after it are
    /// left as they are.
    ///
    /// Returns an error for an unknown option or command, for a value after an option that takes
    /// none, and for a word that is not UTF-8.
    pub(super) fn new(
        given: Vec<OsString>,
        root: &CommandInfoWithArgs,
        server: &'static [FlagInfo<'static>],
        grammars: &'static [Grammar],
    ) -> Result<Self, String> {
        let mut given = given.into_iter();
        let mut reader = Reader {
            words: Self::default(),
            command: root,
            grammar: None,
            server,
        };
        let (mut arguments, mut has_help) = (0, false);
        while let Some(word) = given.next() {
            if reader.runs_program() && (word == "--" || !is_option(&word)) {
                let first = (word != "--").then_some(word);
                reader.words.program = first.into_iter().chain(given).collect();
                break;
            }
            let word = text(word)?;
            match &*word {
                word if HELP_WORDS.contains(&word) => has_help = true,
                "--" => {
                    arguments += given.len();
                    reader.words.rest.push(word);
                    for word in given.by_ref() {
                        reader.words.rest.push(text(word)?);
                    }
                    break;
                }
                // The parser takes a hyphen for an option.
                "-" if reader.takes_addresses() => {
                    arguments += 1;
                    reader.words.own.push("stdio".to_owned());
                    continue;
                }
                option if option.starts_with('-') => {
                    reader.option(option, &mut given)?;
                    continue;
                }
                name if !reader.command.commands.is_empty() => reader.enter(name, grammars)?,
                _ => arguments += 1,
            }
            reader.words.own.push(word);
        }
        let Reader {
            mut words,
            command,
            grammar,
            ..
        } = reader;
        let required = command.positionals.iter();
        let required = required.filter(|it| it.optionality == Optionality::Required);
        let lacks_program = grammar.is_some_and(|it| it.runs_program) && words.program.is_empty();
        words.lacks_argument = !has_help && (lacks_program || arguments < required.count());
        Ok(words)
    }
}

/// The words so far, and the command that they have reached.
struct Reader<'a> {
    words: Words,
    command: &'a CommandInfoWithArgs,
    grammar: Option<&'static Grammar>,
    server: &'static [FlagInfo<'static>],
}

impl Reader<'_> {
    /// Goes on with the arguments of a command.
    fn enter(&mut self, name: &str, grammars: &'static [Grammar]) -> Result<(), String> {
        self.command = find_command(name, self.command)?;
        self.grammar = grammars.iter().find(|grammar| grammar.command == name);
        self.words.command = self.grammar.map(|grammar| grammar.command);
        Ok(())
    }

    fn is_server(&self) -> bool {
        self.grammar.is_some_and(|grammar| grammar.is_server)
    }

    /// Returns true if an argument of the command is an address.
    fn takes_addresses(&self) -> bool {
        matches!(self.command.name, "connect" | "proxy")
    }

    fn runs_program(&self) -> bool {
        self.grammar.is_some_and(|grammar| grammar.runs_program)
    }

    /// Reads an option, and its value if it takes one.
    fn option(
        &mut self,
        word: &str,
        given: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), String> {
        let (name, value) = option_and_value(word);
        let own = find_flag(name, self.command.flags);
        let shared = find_flag(name, self.server).filter(|_| own.is_none() && self.is_server());
        let flag = own.or(shared).ok_or_else(|| self.unknown(name))?;
        let takes_value = matches!(flag.kind, FlagInfoKind::Option { .. });
        let value = match value {
            Some(_) if !takes_value => return Err(format!("{name} takes no value")),
            Some(value) => Some(value.to_owned()),
            None if takes_value => given.next().map(text).transpose()?,
            None => None,
        };
        self.words.given.push(flag.long.to_owned());
        let to = match shared {
            Some(_) => &mut self.words.server,
            None => &mut self.words.own,
        };
        to.push(name.to_owned());
        to.extend(value);
        Ok(())
    }

    /// Returns the error of an option that the command does not have.
    fn unknown(&self, name: &str) -> String {
        if !self.command.commands.is_empty() && find_flag(name, self.server).is_some() {
            return format!("{name} comes after a command, as in 'halves serve SERVICE {name}'");
        }
        for owner in &self.command.commands {
            if find_flag(name, owner.command.flags).is_some() {
                return format!("{name} comes after the command '{}'", owner.name);
            }
        }
        let server = if self.is_server() { self.server } else { &[] };
        let flags = self.command.flags.iter().chain(server);
        let meant = nearest(name, flags.map(|flag| flag.long));
        did_you_mean(&format!("unknown option '{name}'"), meant)
    }
}

fn is_option(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

fn text(word: OsString) -> Result<String, String> {
    word.into_string().map_err(|word| {
        let word = word.to_string_lossy();
        format!("an argument is not UTF-8: {word}")
    })
}

/// Splits `--option=value`. A short option has no value in the same word.
fn option_and_value(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((name, value)) if name.starts_with("--") => (name, Some(value)),
        _ => (word, None),
    }
}

pub(super) fn find_flag<'a>(name: &str, flags: &'a [FlagInfo<'a>]) -> Option<&'a FlagInfo<'a>> {
    flags.iter().find(|flag| has_name(flag, name))
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
