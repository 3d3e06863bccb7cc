//! The script for fish.

use argh::FlagInfo;

use super::names_with_value;
use crate::cli::args::{Definition, Values, brief, names, values};

/// `__halves_words` prints the command and its arguments before the cursor, without options and
/// their values, and without `check` if another command follows it. Words of a program are printed
/// as they are.
const HEAD: &str = "\
# Completes words for halves in fish. Made by 'halves completions fish'.

function __halves_words
    set -l words (commandline -opc)
    set -l seen
    set -e words[1]
    while set -q words[1]
        if contains -- $words[1] VALUED
            set -e words[1]
        else if string match -qv -- '-*' $words[1]
            test \"$seen\" = check; and set -e seen[1]
            set -a seen $words[1]
            if test \"$seen[1]\" = exec; and set -q seen[2]
                set -e words[1]
                set -a seen $words
                break
            end
        end
        set -q words[1]; and set -e words[1]
    end
    set -q seen[1]; and printf '%s\\n' $seen
end

# True if this is the command.
function __halves_in
    set -l words (__halves_words)
    test \"$words[1]\" = \"$argv\"
end

# True if this is the command, with so many arguments.
function __halves_at
    set -l words (__halves_words)
    test \"$words[1]\" = \"$argv[1]\"; and test (count $words[2..]) = $argv[2]
end

# Completes the program of exec, and its arguments.
function __halves_program
    set -l words (__halves_words)
    set -e words[1]
    complete -C \"$words \"(commandline -ct)
end

complete -c halves -f
";

pub(super) fn script(definitions: &[Definition]) -> String {
    let valued = names_with_value(definitions).join(" ");
    let mut script = HEAD.replace("VALUED", &valued);
    for definition in definitions {
        script += &format!("\n# halves {}\n", definition.name);
        // Options after a program are its own.
        let condition = if definition.runs_program {
            format!("__halves_at {} 0", definition.name)
        } else {
            format!("__halves_in {}", definition.name)
        };
        let within = format!("complete -c halves -n '{condition}'");
        for flag in definition.options() {
            script += &format!("{within}{}\n", option(flag));
        }
        script += &arguments(definition, definitions);
    }
    script
}

/// Returns the lines for the arguments of a command.
fn arguments(definition: &Definition, all: &[Definition]) -> String {
    let name = definition.name;
    let within = format!("complete -c halves -n '__halves_in {name}'");
    if definition.runs_program {
        return format!("{within} -a '(__halves_program)'\n");
    }
    let (at, few) = definition.few_arguments();
    if few.is_empty() && !definition.positionals.is_empty() {
        return format!("{within} -F\n");
    }
    let line = |word: &&str| {
        let command = all.iter().find(|it| it.name == *word);
        let summary = command.map(|it| format!(" -d '{}'", quoted(it.summary)));
        let summary = summary.unwrap_or_default();
        format!("complete -c halves -n '__halves_at \"{name}\" {at}' -a {word}{summary}\n")
    };
    few.iter().map(line).collect()
}

/// Returns the part of a line for an option.
fn option(flag: &FlagInfo<'static>) -> String {
    let mut text = String::new();
    for name in names(flag) {
        text += &match name.strip_prefix("--") {
            Some(long) => format!(" -l {long}"),
            None => format!(" -s {}", name.trim_start_matches('-')),
        };
    }
    text += &match values(flag) {
        Values::None => String::new(),
        Values::Few(few) => format!(" -x -a '{}'", few.join(" ")),
        Values::File => " -r -F".to_owned(),
        Values::Text => " -x".to_owned(),
    };
    text + &format!(" -d '{}'", quoted(brief(flag.description)))
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
