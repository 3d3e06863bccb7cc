//! `halves completions`: scripts that complete words in shells, from the definitions of the help.
#![allow(
    clippy::format_push_string,
    reason = "a script is printed once, and reads better so"
)]

mod bash;
mod fish;
mod zsh;

use super::args::{Definition, Shell, Values, definitions, names, values};

/// Returns the script for a shell.
pub(super) fn script(shell: Shell) -> String {
    let (definitions, _) = definitions();
    match shell {
        Shell::Bash => bash::script(&definitions),
        Shell::Zsh => zsh::script(&definitions),
        Shell::Fish => fish::script(&definitions),
    }
}

/// Returns the names of the options that take a value, without duplicates.
fn names_with_value(definitions: &[Definition]) -> Vec<String> {
    let options = definitions.iter().flat_map(Definition::options);
    let valued = options.filter(|flag| values(flag) != Values::None);
    let mut all: Vec<_> = valued.flat_map(names).collect();
    all.sort();
    all.dedup();
    all
}
