//! The script for zsh: a function for each command, over `_arguments`.

use argh::{FlagInfo, Optionality};

use crate::cli::args::{CHECK, Definition, Values, brief, names, value_name, values};

const HEAD: &str = "\
#compdef halves
# Completes words for halves in zsh. Made by 'halves completions zsh'.

";

const TAIL: &str = "
if [[ $funcstack[1] == _halves ]]; then
    _halves \"$@\"
else
    compdef _halves halves
fi
";

pub(super) fn script(definitions: &[Definition]) -> String {
    let mut script = HEAD.to_owned();
    let (root, commands) = definitions.split_at(1);
    for definition in root {
        script += &function(
            "_halves",
            definition,
            &["'1: :->command'", "'*:: :->arguments'"],
        );
        script += &dispatch(commands);
    }
    for definition in commands {
        let arguments = arguments(definition);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let name = format!("_halves_{}", definition.name);
        script += &function(&name, definition, &arguments);
        script += "}\n\n";
    }
    script.trim_end().to_owned() + "\n" + TAIL
}

/// Returns a function, without its end, that completes the options and these arguments.
fn function(name: &str, definition: &Definition, arguments: &[&str]) -> String {
    let mut text = format!(
        "{name}() {{\n    local context state state_descr line\n    typeset -A opt_args\n    \
         _arguments -C -S"
    );
    for flag in definition.options() {
        text += &format!(" \\\n        {}", option(flag));
    }
    for argument in arguments {
        text += &format!(" \\\n        {argument}");
    }
    text + " && return\n"
}

/// Returns the rest of the function of `halves`: the commands, and the arguments of each.
fn dispatch(commands: &[Definition]) -> String {
    let mut text = "    if [[ $state == arguments ]]; then
        _halves_arguments
        return
    fi
    local -a commands=(
"
    .to_owned();
    for command in commands {
        let summary = quoted(&escaped(command.summary));
        text += &format!("        '{}:'{summary}\n", command.name);
    }
    text += "    )
    _describe -t commands command commands
}

_halves_arguments() {
    if [[ $words[1] == check && $CURRENT -gt 2 && $words[2] != -* ]]; then
        shift words
        ((CURRENT--))
    fi
    case $words[1] in
";
    for Definition { name, .. } in commands {
        text += &format!("        {name}) _halves_{name} ;;\n");
    }
    text + "    esac\n}\n\n"
}

/// Returns the specifications of the arguments of a command.
fn arguments(definition: &Definition) -> Vec<String> {
    if definition.runs_program {
        return vec![
            "'(-):program:_command_names -e'".to_owned(),
            "'*::arguments:_normal'".to_owned(),
        ];
    }
    let (at, few) = definition.few_arguments();
    if definition.name == CHECK {
        return vec![format!("':command:({})'", few.join(" "))];
    }
    let arguments = definition.positionals.iter().enumerate();
    arguments
        .map(|(n, argument)| {
            let name = argument.name;
            match argument.optionality {
                _ if n == at && !few.is_empty() => format!("':{name}:({})'", few.join(" ")),
                Optionality::Repeating => format!("'*:{name}:_files'"),
                _ => format!("':{name}:_files'"),
            }
        })
        .collect()
}

/// Returns the specification of an option: `'*--name=[description]:value:action'`.
fn option(flag: &FlagInfo<'static>) -> String {
    let value = value_name(flag).unwrap_or_default();
    let value = match values(flag) {
        Values::None => String::new(),
        Values::Few(few) => format!(":{value}:({})", few.join(" ")),
        Values::File => format!(":{value}:_files"),
        Values::Text => format!(":{value}: "),
    };
    let names = names(flag);
    let before = match flag.optionality {
        Optionality::Repeating => "'*'".to_owned(),
        _ if names.len() > 1 => format!("'({})'", names.join(" ")),
        _ => String::new(),
    };
    let is_long = |name: &String| name.starts_with("--");
    let names = names.iter().map(|name| {
        let end = if is_long(name) && !value.is_empty() {
            "="
        } else {
            ""
        };
        format!("{name}{end}")
    });
    let names: Vec<_> = names.collect();
    let names = match &names[..] {
        [one] => one.clone(),
        several => format!("{{{}}}", several.join(",")),
    };
    let description = format!("[{}]{value}", escaped(brief(flag.description)));
    format!("{before}{names}{}", quoted(&description))
}

/// Escapes the characters with a meaning in a description.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if "[]:\\".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
