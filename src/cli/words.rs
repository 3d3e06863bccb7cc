//! The words of the command line, made ready for argh: it has no `--option=value`, and no hint at the
//! option or command that was meant.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};

use super::nearest::{did_you_mean, nearest};

/// Each asks for help, wherever an option or a command may be.
const HELP: [&str; 3] = ["-h", "--help", "help"];

/// Words for argh.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) words: Vec<String>,
    /// A command is named without an argument that it requires.
    pub(super) lacks_argument: bool,
}

impl Words {
    /// Makes two words of each `--option=value`. The word after an option that takes a value is that
    /// value, and after `--` nothing is an option.
    ///
    /// An error for an option or a command that there is not, and for the value of an option that takes
    /// none.
    pub(super) fn new(given: Vec<String>, root: &CommandInfoWithArgs) -> Result<Self, String> {
        let (mut words, mut command) = (Vec::with_capacity(given.len()), root);
        let (mut arguments, mut has_help) = (0, false);
        let mut given = given.into_iter();
        while let Some(word) = given.next() {
            match &*word {
                word if HELP.contains(&word) => has_help = true,
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

/// Short options have no value in the same word.
fn option_and_value(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((name, value)) if name.starts_with("--") => (name, Some(value)),
        _ => (word, None),
    }
}

/// Whether an option of a command takes a value; an error where there is no such option.
fn takes_value(name: &str, command: &CommandInfoWithArgs) -> Result<bool, String> {
    let flags = command.flags;
    if let Some(flag) = flags.iter().find(|flag| is_called(flag, name)) {
        return Ok(matches!(flag.kind, FlagInfoKind::Option { .. }));
    }
    for owner in &command.commands {
        if owner.command.flags.iter().any(|flag| is_called(flag, name)) {
            return Err(format!("{name} comes after the command '{}'", owner.name));
        }
    }
    let meant = nearest(name, flags.iter().map(|flag| flag.long));
    let problem = format!("there is no option '{name}'");
    Err(did_you_mean(&problem, meant))
}

fn is_called(flag: &FlagInfo<'_>, name: &str) -> bool {
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
    let problem = format!("there is no command '{name}'");
    Err(did_you_mean(&problem, meant))
}
