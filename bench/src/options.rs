//! The command line of `halves-bench`.

use lexopt::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The mode to run, with its options.
#[derive(Debug, PartialEq)]
pub enum Request {
    Help,
    Compare(Options),
    Instructions(Options),
    Ladder(Options),
}

#[derive(Debug, PartialEq)]
pub struct Options {
    /// The `halves` executable; by default the one in the folder of this program.
    pub halves: Option<PathBuf>,
    /// Words added to every `halves serve upper`, with placeholders.
    pub halves_options: Vec<String>,
    /// Additional servers: a name and a command with placeholders.
    pub extra: Vec<(String, String)>,
    /// The servers to measure; empty for all.
    pub only: Vec<String>,
    /// The reference servers for the ratios; empty for those of each row.
    pub against: Vec<String>,
    pub rounds: usize,
    /// The duration of one measurement.
    pub duration: Duration,
    /// The rows to run, each by its name or the start of it; empty for all.
    pub rows: Vec<String>,
    /// The path of the ladder's picture.
    pub plot: PathBuf,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            halves: None,
            halves_options: Vec::new(),
            extra: Vec::new(),
            only: Vec::new(),
            against: Vec::new(),
            rounds: 5,
            duration: Duration::from_secs(1),
            rows: Vec::new(),
            plot: concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ladder.svg").into(),
        }
    }
}

impl Options {
    pub fn parse<I>(arguments: I) -> Result<Request, lexopt::Error>
    where
        I: IntoIterator<Item: Into<OsString>>,
    {
        let mut options = Options::default();
        let (mut instructions, mut ladder) = (false, false);
        let mut duration = None;
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
                Long("seconds") => duration = Some(parser.value()?.parse_with(seconds)?),
                Long("plot") => options.plot = parser.value()?.into(),
                Value(word) if word == "instructions" => instructions = true,
                Value(word) if word == "ladder" => ladder = true,
                Value(row) => options.rows.push(row.string()?),
                _ => return Err(argument.unexpected()),
            }
        }
        if options.rounds == 0 {
            return Err("--rounds must be at least 1".into());
        }
        options.duration = duration.unwrap_or(match ladder {
            true => LADDER_DURATION,
            false => options.duration,
        });
        Ok(match (instructions, ladder) {
            (true, false) => Request::Instructions(options),
            (false, true) => Request::Ladder(options),
            (false, false) => Request::Compare(options),
            (true, true) => {
                return Err("instructions and ladder exclude each other; give one".into());
            }
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
        _ => Err("--extra takes NAME=COMMAND, and COMMAND must contain {port}".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("--seconds must be from 0.01 to 600".into()),
    }
}

/// The default for the ladder, which has many measurements.
const LADDER_DURATION: Duration = Duration::from_millis(400);

pub const USAGE: &str = "\
halves-bench [OPTIONS] [ROW...]               compare servers, print tables
halves-bench instructions [OPTIONS] [ROW...]  count user-space instructions an operation (needs valgrind)
halves-bench ladder [OPTIONS]                 measure the steps of examples/ladder, print and draw a table

ROW: echo-1 echo-50 echo-500 echo-5000 bulk-1k bulk-64k close idle-10000 unix-50
     tls-full tls-resumed tls-64k tls-idle-10000 proxy
     threads-4 threads-50 threads-500 free-4 free-50 free-500 skewed blocked
     broadcast-1 broadcast-64 on-RUNTIME-1 on-RUNTIME-50
     or the start of such a name; by default all. RUNTIME is tokio, smol, smol-local, smol-global or async-std

--halves PATH            the halves executable (default: the one in the folder of this program)
--halves-options WORDS   options added to each `halves serve upper ...`
--extra NAME=COMMAND     an additional server; repeatable
--only NAMES             measure only these servers, separated by commas
--against NAMES          the reference servers for ratios (default: c-epoll,tokio, or those of the row)
--rounds N               rounds of each row (default: 5)
--seconds S              seconds of each measurement (default: 1; for the ladder 0.4)
--plot PATH              the file for the picture of the ladder (default: docs/ladder.svg)

WORDS and COMMAND are split at blanks; {port}, {buffer}, {threads}, {cert}, {key}, {work} and {block} are replaced.
A COMMAND with {work} takes part in skewed and blocked, one with {cert} in tls-... only.
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
    fn the_default_is_five_rounds_of_all_rows() {
        assert_eq!(compare("").unwrap(), Options::default());
    }

    #[test]
    fn rows_and_options_can_be_in_any_order() {
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
    fn instructions_is_a_mode_and_not_a_row() {
        let request = Options::parse(["instructions", "--only", "tokio"]).unwrap();
        let Request::Instructions(options) = request else {
            panic!("{request:?}");
        };
        assert!(options.rows.is_empty());
    }

    #[test]
    fn the_ladder_is_a_mode_with_its_own_duration() {
        for (line, duration) in [
            ("ladder --plot x.svg", LADDER_DURATION),
            ("--seconds 1 --plot x.svg ladder", Duration::from_secs(1)),
        ] {
            let request = Options::parse(line.split_whitespace()).unwrap();
            let Request::Ladder(options) = request else {
                panic!("{request:?}");
            };
            assert_eq!(options.duration, duration);
            assert_eq!(options.plot, PathBuf::from("x.svg"));
        }
    }

    #[test]
    fn invalid_arguments_are_errors() {
        for line in [
            "--rounds 0",
            "--seconds 0",
            "--seconds x",
            "--speed 9",
            "ladder instructions",
        ] {
            assert!(compare(line).is_err(), "{line}");
        }
    }
}
