//! The arguments of `halves ctl`.

use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use halves::Address;

use crate::cli::ctl::Sort;
use crate::cli::values::{address, duration};

/// Look at a running server, and steer it, through its control socket.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "ctl",
    help_triggers("-h", "--help", "help"),
    usage = "ADDRESS REQUEST [OPTIONS]",
    example = "{command_name} /run/halves.control list\n\
        {command_name} /run/halves.control top --sort rate\n\
        {command_name} /run/halves.control kill 7\n\
        {command_name} /run/halves.control set idle-timeout 5m\n\
        {command_name} /run/halves.control list --json | jq .peer",
    note = "ADDRESS is that of the server's --control: /PATH, ./PATH, unix:PATH or @NAME.",
    note = "A REQUEST is one of these:\n\
        \x20 list                  the open connections, and the event that each waits for\n\
        \x20 top                   the same with statistics, again and again\n\
        \x20 show N                the connection with the number N\n\
        \x20 stats                 the statistics of the server\n\
        \x20 watch [DURATION]      the answers of stats and list, again and again\n\
        \x20 kill N                reset a connection\n\
        \x20 close N               close a connection in order\n\
        \x20 set OPTION VALUE      change max-connections, max-per-source, accept-rate,\n\
        \x20                       handshake-timeout, idle-timeout, lifetime or min-rate\n\
        \x20 reload                read rules and certificates again, as HUP does\n\
        \x20 restart               pass the listeners to a new process, as USR2 does\n\
        \x20 drain                 end the server in order, as TERM does\n\
        \x20 abort                 end the server now, as a second TERM does",
    note = "In top, b, r, a and i sort by bytes, rate, age and idle time, the arrows scroll, and q\n\
        quits. Without a terminal, top prints plain lines.",
    note = "Exit codes: 0 done, 1 the server refused the request or cannot be reached, 2 bad usage,\n\
        141 standard output was closed."
)]
pub(in crate::cli) struct Ctl {
    /// the control socket of the server
    #[argh(positional, from_str_fn(control))]
    pub(in crate::cli) address: Address,

    /// the request; see below
    #[argh(positional)]
    pub(in crate::cli) request: Vec<String>,

    /// print the answer as JSON, one object a line
    #[argh(switch)]
    pub(in crate::cli) json: bool,

    /// the order of top: bytes, rate, age or idle (default bytes)
    #[argh(option, arg_name = "key", default = "Sort::Bytes")]
    pub(in crate::cli) sort: Sort,

    /// the time between two looks of top, from 100ms to 30s (default 1s)
    #[argh(
        option,
        arg_name = "duration",
        default = "Duration::from_secs(1)",
        from_str_fn(duration)
    )]
    pub(in crate::cli) interval: Duration,
}

impl Ctl {
    /// Checks the words that depend on each other.
    pub(super) fn checked(self) -> Result<Self, String> {
        match self.request.first().map(|word| word.trim()) {
            None | Some("") => Err("no request given; write halves ctl ADDRESS list".to_owned()),
            Some("top") if self.request.len() > 1 => Err("top has no arguments".to_owned()),
            Some("top") if self.json => Err("top has no JSON; watch --json has".to_owned()),
            Some(_) => Ok(self),
        }
    }
}

fn control(text: &str) -> Result<Address, String> {
    match address(text)? {
        address @ (Address::Unix { .. } | Address::Abstract { .. }) => Ok(address),
        _ => Err("not a Unix socket; write /PATH, ./PATH, unix:PATH or @NAME".to_owned()),
    }
}
