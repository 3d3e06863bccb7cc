//! The own arguments of `halves completions`.

use std::str::FromStr;

use argh::{ArgsInfo, FromArgs};

/// Print a script that completes words in a shell.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "completions",
    help_triggers("-h", "--help", "help"),
    usage = "SHELL",
    example = "{command_name} bash >/usr/share/bash-completion/completions/halves\n\
        {command_name} zsh >/usr/share/zsh/vendor-completions/_halves\n\
        {command_name} fish >~/.config/fish/completions/halves.fish",
    note = "For the present shell only: source <(halves completions bash), or in fish\n\
        halves completions fish | source."
)]
pub(in crate::cli) struct Completions {
    /// bash, zsh or fish
    #[argh(positional)]
    pub(super) shell: Shell,
}

/// A shell with completion of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    pub(super) const NAMES: [&str; 3] = ["bash", "zsh", "fish"];
}

impl FromStr for Shell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "bash" => Ok(Self::Bash),
            "zsh" => Ok(Self::Zsh),
            "fish" => Ok(Self::Fish),
            _ => Err("write bash, zsh or fish".to_owned()),
        }
    }
}
