//! The own arguments of `halves man`.

use argh::{ArgsInfo, FromArgs};

/// Print the manual page.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "man",
    help_triggers("-h", "--help", "help"),
    example = "{command_name} | man -l -\n\
        {command_name} >/usr/share/man/man1/halves.1"
)]
pub(in crate::cli) struct Man {}
