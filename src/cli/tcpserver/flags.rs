//! The flags of tcpserver.

use std::env;
use std::ffi::OsString;
use std::num::NonZero;
use std::os::unix::ffi::OsStringExt;

use lexopt::{Arg, Parser, ValueExt};

use super::names::Lookups;

/// The usage, as tcpserver has it.
pub(super) const USAGE: &str = "usage: tcpserver [ -1UXpPhHrRoOdDqQv ] [ -c limit ] [ -x rules.cdb ] \
                                [ -B banner ] [ -g gid ] [ -u uid ] [ -b backlog ] [ -l localname ] \
                                [ -t timeout ] host port program";

/// The messages that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verbosity {
    Nothing,
    Errors,
    Status,
}

#[derive(Debug)]
pub(super) struct Flags {
    pub(super) verbosity: Verbosity,
    pub(super) max_children: NonZero<usize>,
    /// Connections that wait in the system.
    pub(super) backlog: u32,
    /// Sent to each client first.
    pub(super) banner: Vec<u8>,
    pub(super) lookups: Lookups,
    /// True if small writes may be delayed.
    pub(super) delays: bool,
    /// True if the port is printed.
    pub(super) prints_port: bool,
    /// True if `-r` is given.
    pub(super) wants_ident: bool,
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
    pub(super) host: String,
    /// A number or the name of a service.
    pub(super) port: String,
    pub(super) program: Vec<OsString>,
}

/// A reason not to start a server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FlagError {
    /// `--help` is given.
    Help,
    /// Bad usage: a line before the usage, if there is one to say.
    Usage(Option<String>),
    /// A flag that this program does not have.
    Unsupported(&'static str),
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            verbosity: Verbosity::Errors,
            max_children: NonZero::<usize>::MIN.saturating_add(39),
            backlog: 20,
            banner: Vec::new(),
            lookups: Lookups::default(),
            delays: true,
            prints_port: false,
            wants_ident: false,
            user: None,
            group: None,
            host: String::new(),
            port: String::new(),
            program: Vec::new(),
        }
    }
}

impl Flags {
    /// Parses the words after the name. Flags end at the first word that is none, the host.
    pub(super) fn parse(words: &[OsString]) -> Result<Self, FlagError> {
        let mut parser = Parser::from_args(words);
        // As for getopt(3), a `=` after a letter is part of the value.
        parser.set_short_equals(false);
        let mut flags = Self::default();
        loop {
            match parser.next().map_err(|error| usage(&error))? {
                Some(Arg::Short(letter)) => flags.set(letter, &mut parser)?,
                Some(Arg::Long("help")) => return Err(FlagError::Help),
                Some(Arg::Long(_)) | None => return Err(FlagError::Usage(None)),
                Some(Arg::Value(host)) => {
                    flags.host = host.string().map_err(|error| usage(&error))?;
                    break;
                }
            }
        }
        let mut rest = parser.raw_args().map_err(|error| usage(&error))?;
        let port = rest.next().ok_or(FlagError::Usage(None))?;
        flags.port = port.string().map_err(|error| usage(&error))?;
        flags.program = rest.collect();
        match flags.program[..] {
            [] => Err(FlagError::Usage(None)),
            _ => Ok(flags),
        }
    }

    fn set(&mut self, letter: char, parser: &mut Parser) -> Result<(), FlagError> {
        match letter {
            '1' => self.prints_port = true,
            'b' => self.backlog = number(letter, parser)?,
            'B' => self.banner = value(letter, parser)?.into_vec(),
            'c' => self.max_children = number(letter, parser)?,
            'd' => self.delays = true,
            'D' => self.delays = false,
            'g' => self.group = Some(number(letter, parser)?),
            'h' => self.lookups.looks_up = true,
            'H' => self.lookups.looks_up = false,
            'l' => self.lookups.local_name = Some(value(letter, parser)?),
            // IP options: the system has accepted none for long.
            'o' | 'O' => {}
            'p' => self.lookups.is_paranoid = true,
            'P' => self.lookups.is_paranoid = false,
            'q' => self.verbosity = Verbosity::Nothing,
            'Q' => self.verbosity = Verbosity::Errors,
            'r' => self.wants_ident = true,
            'R' => self.wants_ident = false,
            't' => drop(number::<u32>(letter, parser)?),
            'u' => self.user = Some(number(letter, parser)?),
            'U' => {
                self.user = Some(variable("UID")?);
                self.group = Some(variable("GID")?);
            }
            'v' => self.verbosity = Verbosity::Status,
            'x' | 'X' => {
                return Err(FlagError::Unsupported(
                    "-x and -X are not supported: write the rules for halves exec --allow and --deny",
                ));
            }
            other => {
                let problem = format!("illegal option -- {other}");
                return Err(FlagError::Usage(Some(problem)));
            }
        }
        Ok(())
    }
}

/// Returns the value of a flag: the rest of its word, or the next word.
fn value(letter: char, parser: &mut Parser) -> Result<OsString, FlagError> {
    parser.value().map_err(|_| {
        let problem = format!("option requires an argument -- {letter}");
        FlagError::Usage(Some(problem))
    })
}

fn number<T: std::str::FromStr>(letter: char, parser: &mut Parser) -> Result<T, FlagError> {
    let text = value(letter, parser)?;
    digits(&text).ok_or_else(|| {
        let text = text.to_string_lossy();
        FlagError::Usage(Some(format!("option -{letter} takes no '{text}'")))
    })
}

fn variable(name: &str) -> Result<u32, FlagError> {
    let value = env::var_os(name);
    value.as_ref().and_then(digits).ok_or_else(|| {
        let problem = format!("option -U needs a number in ${name}");
        FlagError::Usage(Some(problem))
    })
}

fn digits<T: std::str::FromStr>(text: &OsString) -> Option<T> {
    let text = text.to_str()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

fn usage(error: &lexopt::Error) -> FlagError {
    FlagError::Usage(Some(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Flags, FlagError> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        Flags::parse(&words)
    }

    #[test]
    fn flags_may_share_a_word_and_carry_their_values() {
        let flags = parse(&[
            "-1vRHc40", "-l0", "-B220 hi", "-u7", "-g", "8", "0", "-1", "cat", "-u",
        ]);
        let flags = flags.expect("good usage");
        assert_eq!(flags.verbosity, Verbosity::Status);
        assert_eq!((flags.max_children.get(), flags.backlog), (40, 20));
        assert!(flags.prints_port && !flags.lookups.looks_up && flags.delays);
        assert_eq!(flags.lookups.local_name, Some("0".into()));
        assert_eq!(flags.banner, b"220 hi");
        assert_eq!((flags.user, flags.group), (Some(7), Some(8)));
        assert_eq!((&*flags.host, &*flags.port), ("0", "-1"));
        assert_eq!(flags.program, ["cat", "-u"]);

        let flags = parse(&["-l=a", "-B=hi", "0", "0", "cat"]).expect("good usage");
        assert_eq!(flags.lookups.local_name, Some("=a".into()));
        assert_eq!(flags.banner, b"=hi");

        let flags = parse(&["-qc", "4", "-DphrPoOb9", "-t5", "--", "::1", "http", "x"]);
        let flags = flags.expect("good usage");
        assert_eq!(flags.verbosity, Verbosity::Nothing);
        assert_eq!((flags.max_children.get(), flags.backlog), (4, 9));
        assert!(
            flags.lookups.looks_up
                && !flags.lookups.is_paranoid
                && flags.wants_ident
                && !flags.delays
        );
        assert_eq!((&*flags.host, &*flags.port), ("::1", "http"));
    }

    #[test]
    fn bad_usage_is_the_usage_after_a_line_about_the_flag() {
        for (words, problem) in [
            (&[][..], None),
            (&["0"], None),
            (&["0", "25"], None),
            (&["--version"], None),
            (&["-Z", "0", "25", "cat"], Some("illegal option -- Z")),
            (&["-v=1", "0", "25", "cat"], Some("illegal option -- =")),
            (&["-vc"], Some("option requires an argument -- c")),
            (&["-c=4", "0", "25", "cat"], Some("option -c takes no '=4'")),
            (&["-c0", "0", "25", "cat"], Some("option -c takes no '0'")),
            (
                &["-uroot", "0", "25", "cat"],
                Some("option -u takes no 'root'"),
            ),
        ] {
            let error = parse(words).expect_err("bad usage");
            assert_eq!(
                error,
                FlagError::Usage(problem.map(str::to_owned)),
                "{words:?}"
            );
        }
        for words in [&["-xcdb", "0", "25", "cat"][..], &["-X", "0", "25", "cat"]] {
            let error = parse(words).expect_err("unsupported");
            assert!(matches!(error, FlagError::Unsupported(_)), "{error:?}");
        }
        assert_eq!(parse(&["--help"]).expect_err("help"), FlagError::Help);
    }
}
