//! The arguments of `halves connect`.

use std::net::SocketAddr;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use crate::cli::log::Level;
use crate::cli::target_address::TargetAddress;
use crate::cli::values::{duration, source};

/// Connect standard input and output to an address, until both directions have ended.
#[allow(
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "each is an option of the command"
)]
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "connect",
    help_triggers("-h", "--help", "help"),
    usage = "ADDRESS [OPTIONS]",
    example = "{command_name} 127.0.0.1:7 <request >reply\n\
        {command_name} example.org:443,tls\n\
        {command_name} db.internal:5432,tls,ca=ca.pem,cert=me.pem,key=me.key\n\
        {command_name} /run/x.sock\n\
        {command_name} [2001:db8::1]:25 --source 2001:db8::2 --connect-timeout 2s\n\
        {command_name} example.org:443,tls --json </dev/null 2>verdict.json\n\
        ssh -o ProxyCommand='halves connect %h:%p' example.org",
    note = "An ADDRESS is one of these:\n\
        \x20 fd:N                  the open descriptor N, a connection\n\
        \x20 (forms of a target)\n\
        \x20 ,send-proxy=v1 or v2  first send a PROXY header with the addresses of the connection",
    note = "A DURATION is 50us, 500ms, 10s, 5m, 1h, 1d, 1m30s, 1.5s, or a number of seconds.",
    note = "The end of standard input ends the output to the peer, and the answer is still read.\n\
        The end of the peer's output ends standard output, and the input is still sent.",
    note = "While it runs for more than a second, and standard error is a terminal, the bytes and\n\
        the rate are shown there, unless standard output is a terminal, too, that has received\n\
        bytes.",
    note = "INT, TERM and HUP end it at once. A connection that is cut in the middle of the input is\n\
        reset, so that the peer does not take the input for complete.",
    note = "Exit codes: 0 both directions ended, 1 another failure (files, standard input or\n\
        output, --idle-timeout), 2 bad usage, 10 the name was not resolved, 11 refused or\n\
        unreachable, 12 --connect-timeout, 13 TLS failed, 14 the certificate was rejected,\n\
        15 the connection was reset, 16 it was truncated (TLS ended without close_notify),\n\
        141 standard output was closed, 128+N a signal N ended it (129: HUP, 130: INT,\n\
        143: TERM)."
)]
pub(in crate::cli) struct Connect {
    /// where to connect to; see below
    #[argh(positional)]
    pub(in crate::cli) address: TargetAddress,

    /// give up if the name, the connection and TLS together take longer than DURATION; 0 is off
    /// (default 5s)
    #[argh(
        option,
        arg_name = "duration",
        default = "Duration::from_secs(5)",
        from_str_fn(duration)
    )]
    pub(in crate::cli) connect_timeout: Duration,

    /// connect from this address of the machine: ADDRESS, ADDRESS:PORT or [V6]:PORT
    #[argh(option, arg_name = "address", from_str_fn(source))]
    pub(in crate::cli) source: Option<SocketAddr>,

    /// end after DURATION without a byte in either direction; 0 is off (default 0)
    #[argh(
        option,
        arg_name = "duration",
        default = "Duration::ZERO",
        from_str_fn(duration)
    )]
    pub(in crate::cli) idle_timeout: Duration,

    /// end as soon as standard input has ended and the peer's system has received all of it. The
    /// answer is printed until then; its end is not waited for
    #[argh(switch)]
    pub(in crate::cli) quit_on_eof: bool,

    /// print the verdict as one JSON object on standard error, and nothing else there: addresses,
    /// times, bytes, TLS, error, exit code
    #[argh(switch)]
    pub(in crate::cli) json: bool,

    /// print the addresses and times of the connection, and its end
    #[argh(switch, short = 'v')]
    verbose: bool,

    /// print errors only: no progress
    #[argh(switch, short = 'q')]
    quiet: bool,
}

impl Connect {
    pub(in crate::cli) fn level(&self) -> Level {
        match (self.quiet || self.json, self.verbose) {
            (true, _) => Level::Quiet,
            (_, true) => Level::Verbose,
            _ => Level::Normal,
        }
    }

    /// Checks the options that depend on each other.
    pub(super) fn checked(self) -> Result<Self, String> {
        if self.verbose && self.quiet {
            return Err("-v and -q contradict each other".to_owned());
        }
        if self.verbose && self.json {
            return Err("--json has all that -v prints".to_owned());
        }
        let target = &self.address;
        if target.tls.as_ref().is_some_and(|tls| tls.truncated_resets) {
            return Err("truncated=reset is for a relay; here the exit code is 16".to_owned());
        }
        target.check_client(self.source, "standard input and output are the other end")?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Request, parse};

    fn parsed(words: &[&str]) -> Result<Connect, String> {
        let words = ["connect"].iter().chain(words).map(Into::into);
        match parse(words) {
            Ok(Request::Connect(connect)) => Ok(*connect),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.problem),
        }
    }

    #[test]
    fn an_address_alone_is_enough() {
        let connect = parsed(&["h:1"]).expect("good usage");
        assert_eq!(connect.address.to_string(), "h:1");
        assert_eq!(connect.connect_timeout, Duration::from_secs(5));
        assert_eq!(connect.idle_timeout, Duration::ZERO);
        assert_eq!((connect.source, connect.level()), (None, Level::Normal));
        assert!(!connect.json && !connect.quit_on_eof);
    }

    #[test]
    fn the_level_is_that_of_v_q_and_json() {
        for (word, level) in [
            ("-v", Level::Verbose),
            ("-q", Level::Quiet),
            ("--json", Level::Quiet),
        ] {
            let connect = parsed(&[word, "h:1"]).expect("good usage");
            assert_eq!(connect.level(), level);
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_bad_usage() {
        let both_ends = "standard input and output are the other end";
        for (words, problem) in [
            (&["h:1", "-v", "-q"][..], "-v and -q contradict each other"),
            (&["h:1", "-v", "--json"], "--json has all that -v prints"),
            (&["/x", "--source", "::1"], "--source is for TCP"),
            (&["-"], both_ends),
            (&["stdio"], both_ends),
            (&["fd:1"], both_ends),
            (
                &["h:1,tls,truncated=reset"],
                "truncated=reset is for a relay; here the exit code is 16",
            ),
            (&[], "no address given"),
            (&["--json"], "no address given"),
            (
                &["h:1", "--conect-timeout", "1"],
                "unknown option '--conect-timeout'; did you mean '--connect-timeout'?",
            ),
        ] {
            assert_eq!(parsed(words).expect_err(problem), problem, "{words:?}");
        }
        for (words, end) in [
            (
                &["h"][..],
                "it has no port; write HOST:PORT, or ./PATH for a Unix socket\n",
            ),
            (
                &["h:1", "--source", "h"],
                "not an IP address; write ADDRESS, ADDRESS:PORT or [V6]:PORT\n",
            ),
        ] {
            let problem = parsed(words).expect_err(end);
            assert!(problem.ends_with(end), "{problem}");
        }
    }
}
