//! The arguments of `halves replay`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};

use crate::cli::log::Level;
use crate::cli::target_address::TargetAddress;
use crate::cli::values::{deadline, duration, source};

/// Send the input of a record to a running server, and compare the answer.
#[allow(
    clippy::struct_field_names,
    reason = "each is an option of the command"
)]
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "replay",
    help_triggers("-h", "--help", "help"),
    usage = "FILE [ADDRESS] [OPTIONS]",
    example = "{command_name} login.record\n\
        {command_name} login.record 127.0.0.1:50007\n\
        {command_name} login.record staging.example.org:443,tls --pace fast\n\
        {command_name} login.record /run/x.sock --timeout 2s --json >verdict.json",
    note = "FILE is a record that 'halves serve --record' or a test has written, of at most 256 MiB.\n\
        All of it is read first. Without ADDRESS, the server of the record is asked, without TLS.",
    note = "An ADDRESS is one of these:\n\
        \x20 fd:N                  the open descriptor N, a connection\n\
        \x20 (forms of a target)\n\
        \x20 ,send-proxy=v1 or v2  first send a PROXY header with the addresses of the connection",
    note = "A DURATION is 50us, 500ms, 10s, 5m, 1h, 1d, 1m30s, 1.5s, or a number of seconds.",
    note = "Each piece of input is sent when the answer that precedes it in the record has arrived,\n\
        and the recorded pause has passed. The answer is compared as one stream of bytes, with\n\
        its end; its pieces and its times are not compared. A record that is cut is compared up\n\
        to there, and one of a connection that was reset up to the reset.",
    note = "The first difference is one line on standard error, with the number of bytes that are the\n\
        same, the line of the record, and both texts. While it runs for more than a second, and\n\
        standard error is a terminal, the bytes and the rate are shown there.",
    note = "INT, TERM and HUP end it at once. A connection that is cut in the middle of the input is\n\
        reset.",
    note = "Exit codes: 0 the answer is the same, 1 it differs, 2 bad usage or a file that cannot be\n\
        read, 10 the name was not resolved, 11 refused or unreachable, 12 --connect-timeout,\n\
        13 the TLS handshake failed, 14 the certificate was rejected, 141 standard output was\n\
        closed, 128+N a signal N ended it (129: HUP, 130: INT, 143: TERM)."
)]
pub(in crate::cli) struct Replay {
    /// the record; see below
    #[argh(positional)]
    pub(in crate::cli) file: PathBuf,

    /// the server (default that of the record); see below
    #[argh(positional)]
    pub(in crate::cli) address: Option<TargetAddress>,

    /// the pauses of the input: recorded, fast (none), or a number: N times as fast as recorded
    /// (default recorded)
    #[argh(option, arg_name = "pace", default = "1.0", from_str_fn(pace))]
    pub(in crate::cli) pace: f64,

    /// the answer differs if a part of it is later than in the record by DURATION; 0 is off
    /// (default 10s)
    #[argh(
        option,
        arg_name = "duration",
        default = "Duration::from_secs(10)",
        from_str_fn(deadline)
    )]
    pub(in crate::cli) timeout: Duration,

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

    /// print the verdict as one JSON object on standard output, also if the answer differs
    #[argh(switch)]
    pub(in crate::cli) json: bool,

    /// print errors and differences only
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

impl Replay {
    pub(in crate::cli) fn level(&self) -> Level {
        if self.quiet || self.json {
            Level::Quiet
        } else {
            Level::Normal
        }
    }

    /// Checks the options that depend on each other.
    pub(super) fn checked(self) -> Result<Self, String> {
        if self.quiet && self.json {
            return Err("-q and --json contradict each other".to_owned());
        }
        if let Some(address) = &self.address {
            self.check(address)?;
        }
        Ok(self)
    }

    /// Returns the problem of an address with these options.
    pub(in crate::cli) fn check(&self, target: &TargetAddress) -> Result<(), String> {
        if target.tls.as_ref().is_some_and(|tls| tls.truncated_resets) {
            return Err("truncated=reset is for a relay".to_owned());
        }
        target.check_client(self.source, "standard input and output are not a server")
    }
}

/// Parses a pace: how many times as fast as recorded.
fn pace(text: &str) -> Result<f64, String> {
    let number = match text {
        "recorded" => Some(1.0),
        "fast" => Some(f64::INFINITY),
        _ => text.parse().ok().filter(|pace: &f64| pace.is_finite()),
    };
    let number = number.filter(|pace| *pace > 0.0);
    number.ok_or_else(|| "write recorded, fast, or a number above 0, such as 10".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Request, parse};

    fn parsed(words: &[&str]) -> Result<Replay, String> {
        let words = ["replay"].iter().chain(words).map(Into::into);
        match parse(words) {
            Ok(Request::Replay(replay)) => Ok(*replay),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.problem),
        }
    }

    #[test]
    fn a_file_alone_is_enough() {
        let replay = parsed(&["a.record"]).expect("good usage");
        assert_eq!(replay.file, PathBuf::from("a.record"));
        assert_eq!((replay.address.as_ref(), replay.source), (None, None));
        assert_eq!(replay.timeout, Duration::from_secs(10));
        assert_eq!(replay.connect_timeout, Duration::from_secs(5));
        assert_eq!(
            (replay.pace.to_bits(), replay.level()),
            (1_f64.to_bits(), Level::Normal)
        );
        for word in ["-q", "--json"] {
            let replay = parsed(&["a.record", "h:1", word]).expect("good usage");
            assert_eq!(replay.level(), Level::Quiet);
        }
    }

    #[test]
    fn a_timeout_of_0_is_none() {
        let replay = parsed(&["a", "--timeout", "0"]).expect("good usage");
        assert_eq!(replay.timeout, Duration::MAX);
    }

    #[test]
    fn a_pace_is_a_word_or_a_number_above_0() {
        for (text, pace) in [
            ("recorded", 1.0),
            ("fast", f64::INFINITY),
            ("10", 10.0),
            ("0.25", 0.25),
        ] {
            let replay = parsed(&["a", "--pace", text]).expect(text);
            assert_eq!(replay.pace.to_bits(), f64::to_bits(pace), "{text}");
        }
        for text in ["0", "-1", "-0", "slow", "inf", "nan", "", "1e999"] {
            let problem = parsed(&["a", "--pace", text]).expect_err(text);
            let end = "write recorded, fast, or a number above 0, such as 10\n";
            assert!(problem.ends_with(end), "{text}: {problem}");
        }
    }

    #[test]
    fn wrong_words_are_bad_usage() {
        let no_server = "standard input and output are not a server";
        for (words, problem) in [
            (&[][..], "no file given; write halves replay FILE [ADDRESS]"),
            (
                &["--json"],
                "no file given; write halves replay FILE [ADDRESS]",
            ),
            (&["a", "stdio"], no_server),
            (&["a", "fd:1"], no_server),
            (&["a", "/x", "--source", "::1"], "--source is for TCP"),
            (
                &["a", "-q", "--json"],
                "-q and --json contradict each other",
            ),
            (
                &["a", "h:1,tls,truncated=reset"],
                "truncated=reset is for a relay",
            ),
            (
                &["a", "--pac=1"],
                "unknown option '--pac'; did you mean '--pace'?",
            ),
        ] {
            assert_eq!(parsed(words).expect_err(problem), problem, "{words:?}");
        }
    }
}
