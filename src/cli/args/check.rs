//! The own arguments of `halves check`.

use argh::{ArgsInfo, FromArgs};

/// Check a server's options, files, addresses and names, and start nothing.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "check",
    help_triggers("-h", "--help", "help"),
    usage = "[COMMAND ...] [OPTIONS]",
    example = "{command_name} --config /etc/halves/echo.conf\n\
        {command_name} serve echo --listen :7 --deny @/etc/halves.deny\n\
        {command_name} exec --config /etc/halves/git.conf git daemon --inetd\n\
        {command_name} proxy db.internal:5432,tls,ca=ca.pem --listen :5432",
    note = "The words after check are those of halves serve, exec or proxy. Without a COMMAND, it is\n\
        serve upper.",
    note = "It reads the files of --config, rules, TLS and targets, finds the program of exec,\n\
        resolves the names of hosts, users and groups, and looks for the folders of Unix\n\
        sockets. It does not listen, and it does not connect.",
    note = "Each problem is a line on standard error. Without one, a line on standard output counts\n\
        what was found.",
    note = "Exit codes: 0 no problem, 1 a file, a name or an address is bad, 2 bad usage."
)]
pub(in crate::cli) struct Check {}
