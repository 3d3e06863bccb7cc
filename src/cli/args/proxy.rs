//! The own arguments of `halves proxy`.

use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use halves::Address;
use halves::service::{Balance, Health};

use crate::cli::target_address::TargetAddress;
use crate::cli::values::duration;

/// Relay each connection to a target.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "proxy",
    help_triggers("-h", "--help", "help"),
    usage = "[OPTIONS] TARGET...",
    example = "{command_name} 127.0.0.1:6379 --listen :6380\n\
        {command_name} 10.0.0.1:80 10.0.0.2:80 --balance least --listen :80\n\
        {command_name} db.internal:5432,tls,ca=ca.pem --listen /run/db.sock,mode=0660\n\
        {command_name} /run/app.sock,send-proxy=v2 --listen :443 --tls-cert a.pem --tls-key a.key",
    note = "A TARGET is one of these:\n\
        \x20 (forms of a target)\n\
        \x20 ,tls,truncated=reset  see below\n\
        \x20 ,send-proxy=v1 or v2  first send a PROXY header with the address of the client\n\
        \x20 The files are read at the start.",
    note = "A target that takes no connection is left out for 1 second, then probed beside the next\n\
        connection; the pause doubles up to 30 seconds. The other targets are tried in order.\n\
        If none is left, the client is reset with the reason refused.",
    note = "An end becomes an end of the other side, and a reset becomes a reset. A side of TLS that\n\
        ends without close_notify is passed on as an end, with the reason truncated. With\n\
        ,truncated=reset after its TARGET or --listen ADDRESS, it becomes a reset."
)]
pub(in crate::cli) struct Proxy {
    /// where to relay to; see below
    #[argh(positional)]
    pub(in crate::cli) target: Vec<TargetAddress>,

    /// the target of a connection: round-robin, or least for the one with the fewest connections
    /// (default round-robin)
    #[argh(
        option,
        arg_name = "how",
        default = "Balance::default()",
        from_str_fn(balance)
    )]
    pub(in crate::cli) balance: Balance,

    /// try the next target if the name, the connection and TLS together take longer than DURATION; 0
    /// is off (default 5s)
    #[argh(
        option,
        arg_name = "duration",
        default = "Duration::from_secs(5)",
        from_str_fn(duration)
    )]
    pub(in crate::cli) connect_timeout: Duration,

    /// the probe of a target that was left out: tcp for a connection, line if the target also has to
    /// send a line within the connect timeout (default tcp)
    #[argh(
        option,
        arg_name = "check",
        default = "Health::default()",
        from_str_fn(health)
    )]
    pub(in crate::cli) health: Health,

    /// at a restart, move running relays to the new process; those with TLS stay and drain
    #[argh(switch)]
    pub(in crate::cli) handover: bool,
}

fn balance(text: &str) -> Result<Balance, String> {
    match text {
        "round-robin" => Ok(Balance::RoundRobin),
        "least" => Ok(Balance::Least),
        _ => Err("write round-robin or least".to_owned()),
    }
}

fn health(text: &str) -> Result<Health, String> {
    match text {
        "tcp" => Ok(Health::Tcp),
        "line" => Ok(Health::Line),
        _ => Err("write tcp or line".to_owned()),
    }
}

impl Proxy {
    /// Checks the targets.
    pub(super) fn checked(self) -> Result<Self, String> {
        if self.target.is_empty() {
            return Err("no target given; write halves proxy TARGET...".to_owned());
        }
        let serves_one =
            |target: &&TargetAddress| matches!(target.address, Address::Stdio | Address::Fd { .. });
        match self.target.iter().find(serves_one) {
            None => Ok(self),
            Some(target) => Err(format!(
                "the target {target} is one connection; 'halves connect' relays it"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Request, parse};
    use crate::cli::server_command::ServerCommand;

    fn parsed(words: &[&str]) -> Result<Proxy, String> {
        let words = ["proxy"].iter().chain(words).map(Into::into);
        match parse(words) {
            Ok(Request::Serve(ServerCommand::Proxy(proxy), _)) => Ok(proxy),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.problem),
        }
    }

    #[test]
    fn targets_may_stand_before_and_behind_options() {
        let proxy = parsed(&["h:1", "--listen", ":80", "/x", "--balance=least", "@y"]);
        let proxy = proxy.expect("good usage");
        let targets: Vec<_> = proxy.target.iter().map(ToString::to_string).collect();
        assert_eq!(targets, ["h:1", "unix:/x", "@y"]);
        assert_eq!((proxy.balance, proxy.health), (Balance::Least, Health::Tcp));
        assert_eq!(proxy.connect_timeout, Duration::from_secs(5));
    }

    #[test]
    fn bad_usage_has_a_reason() {
        for (words, problem) in [
            (&[][..], "no target given; write halves proxy TARGET..."),
            (
                &["-"],
                "the target - is one connection; 'halves connect' relays it",
            ),
            (
                &["h:1", "fd:3"],
                "the target fd:3 is one connection; 'halves connect' relays it",
            ),
        ] {
            assert_eq!(parsed(words).expect_err(problem), problem);
        }
        for (words, hint) in [
            (["h:1", "--balance=most"], "write round-robin or least"),
            (["h:1", "--health=http"], "write tcp or line"),
            (["h:1", "h:2,nagle"], "after a comma come tls"),
        ] {
            let problem = parsed(&words).expect_err(hint);
            assert!(problem.contains(hint), "{problem}");
        }
    }
}
