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
    Ladder(Options),
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
    /// Servers the ratios are taken against; empty for those that suit a row.
    pub against: Vec<String>,
    pub rounds: usize,
    /// How long one figure is measured.
    pub duration: Duration,
    /// Rows to run, each by its name or the start of it; empty for all.
    pub rows: Vec<String>,
    /// Where the ladder's picture goes.
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
            return Err("--rounds starts at 1".into());
        }
        options.duration = duration.unwrap_or(match ladder {
            true => LADDER_DURATION,
            false => options.duration,
        });
        Ok(match (instructions, ladder) {
            (true, false) => Request::Instructions(options),
            (false, true) => Request::Ladder(options),
            (false, false) => Request::Compare(options),
            (true, true) => return Err("either instructions or ladder".into()),
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

/// It has many figures to take.
const LADDER_DURATION: Duration = Duration::from_millis(400);

pub const USAGE: &str = "\
halves-bench [OPTIONS] [ROW...]               compare servers, print tables
halves-bench instructions [OPTIONS]           count user-space instructions an echo (needs valgrind)
halves-bench ladder [OPTIONS]                 measure the steps of examples/ladder, print their table, draw it

ROW: echo-1 echo-50 echo-500 echo-5000 bulk-1k bulk-64k close idle-10000 unix-50
     threads-4 threads-50 threads-500 free-4 free-50 free-500 skewed blocked
     broadcast-1 broadcast-64 on-RUNTIME-1 on-RUNTIME-50
     or the start of such a name; all when none is given; RUNTIME is tokio, smol, smol-local, smol-global
     or async-std

--halves PATH            the halves executable (default: the one beside this program)
--halves-options WORDS   added to each `halves serve upper ...`
--extra NAME=COMMAND     one more server; repeatable
--only NAMES             only these servers, names separated by commas
--against NAMES          the servers ratios are taken against (default: c-epoll,tokio, or what suits the row)
--rounds N               rounds a row (default: 5)
--seconds S              seconds a figure is measured (default: 1; of the ladder, 0.4)
--plot PATH              where the ladder is drawn (default: docs/ladder.svg)

WORDS and COMMAND are split at blanks; {port}, {buffer}, {threads}, {work} and {block} are filled in. A COMMAND
with {work} takes part in skewed and blocked.
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
    fn the_ladder_is_a_command_with_a_time_of_its_own() {
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
    fn nonsense_is_refused() {
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
