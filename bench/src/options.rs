//! The command line of the comparison.

use lexopt::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What the caller wants.
#[derive(Debug, PartialEq)]
pub enum Request {
    Help,
    Compare(Options),
    Instructions(Options),
}

#[derive(Debug, PartialEq)]
pub struct Options {
    /// The `halves` executable; by default the one beside this program.
    pub halves: Option<PathBuf>,
    /// Words added to every `halves serve upper`; may hold placeholders.
    pub halves_options: Vec<String>,
    /// Further servers: a name and a command with placeholders.
    pub extra: Vec<(String, String)>,
    /// Servers to take part; empty for all.
    pub only: Vec<String>,
    /// Servers the ratios are taken against.
    pub against: Vec<String>,
    pub rounds: usize,
    /// How long one figure is measured.
    pub duration: Duration,
    /// Rows to run, each by its name or the start of it; empty for all.
    pub rows: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            halves: None,
            halves_options: Vec::new(),
            extra: Vec::new(),
            only: Vec::new(),
            against: list("c-epoll,tokio"),
            rounds: 5,
            duration: Duration::from_secs(1),
            rows: Vec::new(),
        }
    }
}

impl Options {
    pub fn parse<I>(arguments: I) -> Result<Request, lexopt::Error>
    where
        I: IntoIterator<Item: Into<OsString>>,
    {
        let mut options = Options::default();
        let mut instructions = false;
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(Request::Help),
                Long("halves") => options.halves = Some(parser.value()?.into()),
                Long("halves-options") => {
                    let words = parser.value()?.string()?;
                    options.halves_options = words.split_whitespace().map(String::from).collect();
                }
                Long("extra") => options.extra.push(pair(&parser.value()?.string()?)?),
                Long("only") => options.only.extend(list(&parser.value()?.string()?)),
                Long("against") => options.against = list(&parser.value()?.string()?),
                Long("rounds") => options.rounds = parser.value()?.parse()?,
                Long("seconds") => options.duration = parser.value()?.parse_with(seconds)?,
                Value(word) if word == "instructions" => instructions = true,
                Value(row) => options.rows.push(row.string()?),
                _ => return Err(argument.unexpected()),
            }
        }
        if options.rounds == 0 {
            return Err("--rounds starts at 1".into());
        }
        Ok(match instructions {
            true => Request::Instructions(options),
            false => Request::Compare(options),
        })
    }
}

fn list(names: &str) -> Vec<String> {
    names.split(',').map(String::from).collect()
}

fn pair(extra: &str) -> Result<(String, String), lexopt::Error> {
    match extra.split_once('=') {
        Some((name, command)) if !name.is_empty() && command.contains("{port}") => {
            Ok((name.into(), command.into()))
        }
        _ => Err("--extra takes NAME=COMMAND, the command with {port} in it".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("--seconds lies between 0.01 and 600".into()),
    }
}

pub const USAGE: &str = "\
halves-bench [OPTIONS] [ROW...]               compare servers, print tables
halves-bench instructions [OPTIONS]           count user-space instructions an echo (needs valgrind)

ROW: echo-1 echo-50 echo-500 echo-5000 bulk-1k bulk-64k close idle-10000 threads-50 unix-50
     broadcast-1 broadcast-64
     or the start of such a name; all when none is given

--halves PATH            the halves executable (default: the one beside this program)
--halves-options WORDS   added to each `halves serve upper ...`
--extra NAME=COMMAND     one more server; repeatable
--only NAMES             only these servers, names separated by commas
--against NAMES          the servers ratios are taken against (default: c-epoll,tokio)
--rounds N               rounds a row (default: 5)
--seconds S              seconds a figure is measured (default: 1)

WORDS and COMMAND are split at blanks; {port}, {buffer} and {threads} are filled in.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(line: &str) -> Result<Options, lexopt::Error> {
        match Options::parse(line.split_whitespace())? {
            Request::Compare(options) => Ok(options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_given_means_everything_five_times() {
        assert_eq!(compare("").unwrap(), Options::default());
    }

    #[test]
    fn rows_and_options_mix() {
        let options = compare("echo-50 --rounds 3 bulk --seconds 0.5 --only halves,tokio").unwrap();
        assert_eq!(options.rows, ["echo-50", "bulk"]);
        assert_eq!(options.only, ["halves", "tokio"]);
        assert_eq!(options.rounds, 3);
        assert_eq!(options.duration, Duration::from_millis(500));
    }

    #[test]
    fn an_extra_server_needs_a_name_and_a_port() {
        let words = |extra| Options::parse(["--extra", extra]);
        let Ok(Request::Compare(options)) = words("mine=./mine --port {port}") else {
            panic!("refused");
        };
        assert_eq!(
            options.extra,
            [("mine".into(), "./mine --port {port}".into())]
        );
        assert!(words("mine=./mine").is_err());
        assert!(words("=./mine {port}").is_err());
        assert!(words("{port}").is_err());
    }

    #[test]
    fn instructions_is_a_command_and_no_row() {
        let request = Options::parse(["instructions", "--only", "tokio"]).unwrap();
        let Request::Instructions(options) = request else {
            panic!("{request:?}");
        };
        assert!(options.rows.is_empty());
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["--rounds 0", "--seconds 0", "--seconds x", "--speed 9"] {
            assert!(compare(line).is_err(), "{line}");
        }
    }
}
