//! `Definition`: the facts of a command from which its help is made, for texts in other forms.

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind, FromArgs, PositionalInfo};

use super::help::TARGET_FORMS_MARK;
use super::{GRAMMARS, Halves, ServerOptions, Shell, grammar};
use crate::cli::control::VERBS;
use crate::cli::service::Service;
use crate::cli::target_address::FORMS;

/// The command that takes the words of another one.
pub(in crate::cli) const CHECK: &str = "check";

/// A command, or `halves` without one.
pub(in crate::cli) struct Definition {
    /// Empty for `halves` without a command.
    pub(in crate::cli) name: &'static str,
    pub(in crate::cli) summary: &'static str,
    /// The words after `Usage: `.
    pub(in crate::cli) usage: String,
    /// The options of the command, and `--help`.
    pub(in crate::cli) own: &'static [FlagInfo<'static>],
    /// The options of every server, without `--help`, if the command takes them.
    pub(in crate::cli) shared: Vec<&'static FlagInfo<'static>>,
    pub(in crate::cli) positionals: &'static [PositionalInfo<'static>],
    pub(in crate::cli) examples: Vec<String>,
    pub(in crate::cli) notes: Vec<String>,
    /// True if the first argument is a program, and the words after it are for that.
    pub(in crate::cli) runs_program: bool,
}

/// The form of the values of an option.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum Values {
    /// The option is a switch.
    None,
    /// One of these.
    Few(&'static [&'static str]),
    /// A file, a directory, or an address, which may be a path.
    File,
    /// Text, such as a number.
    Text,
}

/// All definitions: `halves` first, then its commands, and the notes of every server.
pub(in crate::cli) fn definitions() -> (Vec<Definition>, Vec<String>) {
    let (root, shared) = (Halves::get_args_info(), ServerOptions::get_args_info());
    let mut all = vec![Definition::new("", &root, &shared)];
    let commands = root.commands.iter();
    all.extend(commands.map(|it| Definition::new(it.name, &it.command, &shared)));
    (all, notes(shared.notes))
}

impl Definition {
    fn new(name: &'static str, info: &CommandInfoWithArgs, shared: &CommandInfoWithArgs) -> Self {
        let grammar = grammar(name);
        let takes_shared = name == CHECK || grammar.is_some_and(|it| it.is_server);
        let shared = shared.flags.iter().filter(|flag| flag.long != "--help");
        let command = format!("halves {name}");
        let examples = info.examples.iter().flat_map(|text| text.lines());
        Self {
            name,
            summary: info.description,
            usage: usage(name),
            own: info.flags,
            shared: shared.filter(|_| takes_shared).collect(),
            positionals: info.positionals,
            examples: examples
                .map(|line| line.replace("{command_name}", command.trim_end()))
                .collect(),
            notes: notes(info.notes),
            runs_program: grammar.is_some_and(|it| it.runs_program),
        }
    }

    /// Returns all options, first those of the command.
    pub(in crate::cli) fn options(&self) -> impl Iterator<Item = &'static FlagInfo<'static>> {
        self.own.iter().chain(self.shared.iter().copied())
    }

    /// Returns the words that an argument may be, and its position from 0, if these are few.
    pub(in crate::cli) fn few_arguments(&self) -> (usize, Vec<&'static str>) {
        match self.name {
            "" => (0, GRAMMARS.iter().map(|it| it.command).collect()),
            "serve" => (0, Service::all().map(|Service(row)| row.name).collect()),
            CHECK => {
                let servers = GRAMMARS.iter().filter(|it| it.is_server);
                (0, servers.map(|it| it.command).collect())
            }
            "completions" => (0, Shell::NAMES.to_vec()),
            "ctl" => (1, VERBS.into_iter().chain(["top"]).collect()),
            _ => (0, Vec::new()),
        }
    }
}

/// Returns the name of the value of an option, or None for a switch.
pub(in crate::cli) fn value_name(flag: &FlagInfo<'static>) -> Option<&'static str> {
    match flag.kind {
        FlagInfoKind::Switch => None,
        FlagInfoKind::Option { arg_name } => Some(arg_name),
    }
}

/// Returns the form of the values of an option.
pub(in crate::cli) fn values(flag: &FlagInfo<'static>) -> Values {
    match (flag.long, value_name(flag)) {
        (_, None) => Values::None,
        ("--balance", _) => Values::Few(&["round-robin", "least"]),
        ("--health", _) => Values::Few(&["tcp", "line"]),
        ("--log", _) => Values::Few(&["text", "logfmt", "json"]),
        ("--pace", _) => Values::Few(&["recorded", "fast", "10"]),
        ("--proxy-protocol", _) => Values::Few(&["v1", "v2", "any", "off"]),
        ("--sort", _) => Values::Few(&["bytes", "rate", "age", "idle"]),
        ("--tls-client-auth", _) => Values::Few(&["required", "optional"]),
        ("--tls-min", _) => Values::Few(&["1.2", "1.3"]),
        (_, Some("file" | "dir" | "address")) => Values::File,
        _ => Values::Text,
    }
}

/// Returns the names of an option, the short one first.
pub(in crate::cli) fn names(flag: &FlagInfo<'static>) -> Vec<String> {
    // The definitions lack the short name of the help.
    let short = flag
        .short
        .or_else(|| (flag.long == "--help").then_some('h'));
    let short = short.map(|letter| format!("-{letter}"));
    short.into_iter().chain([flag.long.to_owned()]).collect()
}

/// Returns the first clause of a description.
pub(in crate::cli) fn brief(description: &str) -> &str {
    let ends = ["; ", ". ", ": ", " ("]
        .iter()
        .filter_map(|end| description.find(end));
    &description[..ends.min().unwrap_or(description.len())]
}

/// Returns the first line of the help of a command, without `Usage: `.
fn usage(name: &str) -> String {
    let words: Vec<_> = [name, "--help"]
        .into_iter()
        .filter(|it| !it.is_empty())
        .collect();
    let help = Halves::from_args(&["halves"], &words);
    let help = help.map_or_else(|exit| exit.output, |_| String::new());
    let first = help.lines().next().unwrap_or_default();
    first.trim_start_matches("Usage: ").to_owned()
}

fn notes(notes: &[&str]) -> Vec<String> {
    let forms = FORMS.join("\n  ");
    let notes = notes.iter();
    notes
        .map(|note| note.replace(TARGET_FORMS_MARK, &forms))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::parse;

    #[test]
    fn each_value_that_is_offered_is_right() {
        let (definitions, _) = definitions();
        let few = |flag: &&'static FlagInfo<'static>| matches!(values(flag), Values::Few(_));
        let mut seen = 0;
        for definition in &definitions {
            for flag in definition.options().filter(few) {
                let Values::Few(values) = values(flag) else {
                    continue;
                };
                for value in values {
                    let arguments: &[&str] = match definition.name {
                        "serve" => &["upper"],
                        "ctl" => &["/x", "list"],
                        "check" => &[],
                        _ => &["h:1"],
                    };
                    let words = [&[definition.name, flag.long, value], arguments].concat();
                    let parsed = parse(words.iter().map(Into::into));
                    let problem = parsed.err().map(|error| error.problem);
                    let beginning = format!("Error parsing option '{}'", flag.long);
                    assert!(
                        problem.is_none_or(|it| !it.starts_with(&beginning)),
                        "{words:?}"
                    );
                    seen += 1;
                }
            }
        }
        assert!(seen >= 20, "{seen}");
    }

    #[test]
    fn a_brief_description_is_the_first_clause() {
        for (description, brief) in [
            (
                "listen on ADDRESS; repeatable (default 7)",
                "listen on ADDRESS",
            ),
            ("log more: also the start", "log more"),
            ("serve on N threads (default 1)", "serve on N threads"),
            ("print the version", "print the version"),
        ] {
            assert_eq!(self::brief(description), brief);
        }
    }
}
