//! The script for bash. It needs bash 3.2, and no package of completions.

use std::collections::BTreeMap;

use super::names_with_value;
use crate::cli::args::{Definition, Values, names, values};

/// The parts before the generated ones: `_halves_command` sets the options of a command, and the
/// words that one of its arguments may be; `_halves_values` prints the values of an option.
const HEAD: &str = "\
# Completes words for halves in bash. Made by 'halves completions bash'.

_halves_command() {
    case $1 in
";

const VALUES: &str = "    esac
}

_halves_values() {
    case $1 in
";

/// Reads the words before the cursor, since `COMP_WORDS` are cut at `=` and `:`.
const TAIL: &str = r#"    esac
}

_halves() {
    local line=${COMP_LINE:0:COMP_POINT} words word current i
    local command= option= count=0 options arguments at program
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    current=${words[${#words[@]}-1]}
    _halves_command ''
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        word=${words[i]}
        if [[ -n $option ]]; then
            option=
        elif [[ $word == -* && ($count == 0 || -z $program) ]]; then
            [[ " $valued " == *" $word "* ]] && option=$word
        elif [[ -z $command || $command == check ]]; then
            command=$word
            _halves_command "$command"
        else
            ((count += 1))
        fi
    done
    if [[ -z $option && $current == --*=* ]]; then
        option=${current%%=*}
        current=${current#*=}
    fi
    local IFS=$'\n' found
    if [[ -n $option ]]; then
        found=$(_halves_values "$option" "$current")
    elif [[ $current == -* && ($count == 0 || -z $program) ]]; then
        found=$(compgen -W "${options// /$IFS}" -- "$current")
    elif [[ $count == 0 && -n $program ]]; then
        found=$(compgen -c -- "$current")
    elif [[ $count == "$at" && -n $arguments ]]; then
        found=$(compgen -W "${arguments// /$IFS}" -- "$current")
    else
        compopt -o filenames 2>/dev/null
        found=$(compgen -f -- "$current")
    fi
    # Names of files are no patterns.
    local glob=
    [[ $- == *f* ]] || glob=1
    set -f
    COMPREPLY=($found)
    [[ -z $glob ]] || set +f
}

complete -F _halves halves
"#;

pub(super) fn script(definitions: &[Definition]) -> String {
    let mut script = HEAD.to_owned();
    for definition in definitions {
        script += &facts(definition);
    }
    script += "        *) options= arguments= at= program= ;;\n";
    script += VALUES;
    for (values, options) in by_values(definitions) {
        script += &format!("        {}) {values} ;;\n", options.join(" | "));
    }
    let valued = names_with_value(definitions).join(" ");
    script
        + &TAIL.replacen(
            "local command=",
            &format!("local valued='{valued}'\n    local command="),
            1,
        )
}

/// Returns the case of a command in `_halves_command`.
fn facts(definition: &Definition) -> String {
    let options: Vec<_> = definition.options().flat_map(names).collect();
    let (at, arguments) = definition.few_arguments();
    let program = if definition.runs_program { "yes" } else { "" };
    format!(
        "        '{}')\n            options='{}'\n            arguments='{}' at={at} \
         program={program}\n            ;;\n",
        definition.name,
        options.join(" "),
        arguments.join(" "),
    )
}

/// Returns the commands that print values, each with the options that have these values.
fn by_values(definitions: &[Definition]) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for flag in definitions.iter().flat_map(Definition::options) {
        let print = match values(flag) {
            // The words are cut at newlines.
            Values::Few(few) => format!("compgen -W $'{}' -- \"$2\"", few.join("\\n")),
            Values::File => "compgen -f -- \"$2\"".to_owned(),
            Values::None | Values::Text => continue,
        };
        let options = all.entry(print).or_default();
        for name in names(flag) {
            if !options.contains(&name) {
                options.push(name);
            }
        }
    }
    all
}
