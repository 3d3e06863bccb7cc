//! `Request`: a line of the control socket.

use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use halves::duration::parse_duration;

use super::super::setting::Setting;
use super::super::words::{did_you_mean, nearest};

/// The shortest time between two answers to `watch`.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// The longest. It is shorter than the idle timeout of the socket.
const MAX_INTERVAL: Duration = Duration::from_secs(30);
/// The time between two answers, if none is given.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// The verbs, in the order of the documentation.
pub(in crate::cli) const VERBS: [&str; 11] = [
    "list", "show", "stats", "watch", "kill", "close", "set", "reload", "restart", "drain", "abort",
];

/// A request of one line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Request {
    /// All connections.
    List,
    /// One connection.
    Show(u64),
    Stats,
    /// Statistics and all connections, again and again.
    Watch(Duration),
    Order(Order),
}

/// A request that changes the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Order {
    /// Reset a connection.
    Kill(u64),
    /// Close a connection in order.
    Close(u64),
    Set(Setting),
    Reload,
    /// As USR2.
    Restart,
    /// As the first TERM.
    Drain,
    /// As the second TERM.
    Abort,
}

impl FromStr for Request {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let request = match verb {
            "list" => Self::List,
            "show" => Self::Show(id(&mut words)?),
            "stats" => Self::Stats,
            "watch" => Self::Watch(words.next().map_or(Ok(DEFAULT_INTERVAL), interval)?),
            "kill" => Self::Order(Order::Kill(id(&mut words)?)),
            "close" => Self::Order(Order::Close(id(&mut words)?)),
            "set" => Self::Order(Order::Set(setting(&mut words)?)),
            "reload" => Self::Order(Order::Reload),
            "restart" => Self::Order(Order::Restart),
            "drain" => Self::Order(Order::Drain),
            "abort" => Self::Order(Order::Abort),
            _ => {
                let problem = format!("unknown verb '{verb}'; the verbs are {}", VERBS.join(", "));
                return Err(did_you_mean(&problem, nearest(verb, VERBS)));
            }
        };
        match words.next() {
            None => Ok(request),
            Some(word) => Err(format!("a word too many after {verb}: '{word}'")),
        }
    }
}

fn id(words: &mut SplitWhitespace<'_>) -> Result<u64, String> {
    let word = words
        .next()
        .ok_or("the number of a connection is missing")?;
    let id = word.parse();
    id.map_err(|_| format!("'{word}' is not the number of a connection"))
}

fn interval(word: &str) -> Result<Duration, String> {
    let time = parse_duration(word).map_err(|error| error.to_string())?;
    if (MIN_INTERVAL..=MAX_INTERVAL).contains(&time) {
        Ok(time)
    } else {
        Err(format!("'{word}' is not a time from 100ms to 30s"))
    }
}

fn setting(words: &mut SplitWhitespace<'_>) -> Result<Setting, String> {
    match (words.next(), words.next()) {
        (Some(option), Some(value)) => Setting::parse(option, value),
        _ => Err("write set OPTION VALUE, as in set idle-timeout 5m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_verb_and_its_words() {
        for (line, request) in [
            ("list", Request::List),
            ("  list\t\r", Request::List),
            ("show 7", Request::Show(7)),
            ("stats", Request::Stats),
            ("watch", Request::Watch(Duration::from_secs(1))),
            ("watch 100ms", Request::Watch(MIN_INTERVAL)),
            ("watch 30", Request::Watch(MAX_INTERVAL)),
            (
                "kill 18446744073709551615",
                Request::Order(Order::Kill(u64::MAX)),
            ),
            ("close 1", Request::Order(Order::Close(1))),
            (
                "set min-rate 5",
                Request::Order(Order::Set(Setting::MinRate(5))),
            ),
            ("reload", Request::Order(Order::Reload)),
            ("restart", Request::Order(Order::Restart)),
            ("drain", Request::Order(Order::Drain)),
            ("abort", Request::Order(Order::Abort)),
        ] {
            assert_eq!(line.parse(), Ok(request), "{line}");
        }
    }

    #[test]
    fn a_bad_request_is_explained() {
        for (line, problem) in [
            ("lists", "did you mean 'list'?"),
            ("", "unknown verb ''"),
            ("LIST", "unknown verb 'LIST'"),
            ("show", "the number of a connection is missing"),
            ("show -1", "'-1' is not the number"),
            ("kill 18446744073709551616", "is not the number"),
            ("list 1", "a word too many after list: '1'"),
            ("watch 99ms", "'99ms' is not a time from 100ms to 30s"),
            ("watch 31s", "'31s' is not a time from 100ms to 30s"),
            ("watch soon", "soon"),
            ("set", "write set OPTION VALUE"),
            ("set lifetime", "write set OPTION VALUE"),
            ("set threads 2", "'threads' cannot be set"),
        ] {
            let found = line.parse::<Request>().expect_err(line);
            assert!(found.contains(problem), "{line}: {found}");
        }
    }

    #[test]
    fn every_verb_is_known() {
        for verb in VERBS {
            let problem = verb.parse::<Request>().err().unwrap_or_default();
            assert!(!problem.starts_with("unknown"), "{verb}");
        }
    }
}
