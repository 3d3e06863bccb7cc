//! `--config FILE`: options of a file, one on each line, that stand behind those of the command
//! line.

use std::path::{Path, PathBuf};

use argh::{FlagInfo, FlagInfoKind, SubCommandInfo};

use crate::cli::text_file::{self, FileError};
use crate::cli::words::{did_you_mean, find_flag, nearest};

/// The option that names the file.
const CONFIG: &str = "--config";
const HELP: &str = "--help";
/// Options that contradict each other. One of them on the command line replaces both.
const LEVELS: [&str; 2] = ["--verbose", "--quiet"];

/// The options of a file.
#[derive(Debug, Default)]
pub(super) struct Config {
    file: PathBuf,
    lines: Vec<Line>,
}

/// The option on one line.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    /// Counted from 1.
    number: usize,
    /// With its hyphens.
    option: String,
    /// None for a switch.
    value: Option<String>,
    /// True for an option of every server.
    is_shared: bool,
}

/// The options that a file may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// Those of the command.
    pub(super) own: &'a [FlagInfo<'a>],
    /// Those of every server.
    pub(super) shared: &'a [FlagInfo<'a>],
    /// All commands, for a hint.
    pub(super) commands: &'a [SubCommandInfo],
}

impl Config {
    /// Reads a file of at most 1 MiB. The values are not parsed yet.
    ///
    /// Returns an error with the file and the line for an option that is not known, or has a value
    /// too much or too few.
    pub(super) fn read(file: &Path, known: Known<'_>) -> Result<Self, FileError> {
        let mut lines = Vec::new();
        text_file::read(file, |number, text| {
            let text = without_comment(text);
            if !text.is_empty() {
                lines.push(line(number, text, known)?);
            }
            Ok::<_, String>(())
        })?;
        let file = file.to_owned();
        Ok(Self { file, lines })
    }

    /// Leaves out the options that the command line gives.
    pub(super) fn below(mut self, given: &[String]) -> Self {
        let is_given = |name: &str| given.iter().any(|given| given == name);
        let has_level = LEVELS.into_iter().any(is_given);
        self.lines.retain(|line| {
            let is_replaced = has_level && LEVELS.contains(&&*line.option);
            !is_replaced && !is_given(&line.option)
        });
        self
    }

    /// Returns the number of options.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Returns the words of the first `count` options, either those of every server or the others.
    pub(super) fn words(&self, count: usize, is_shared: bool) -> impl Iterator<Item = &str> {
        let lines = self.lines.iter().take(count);
        lines
            .filter(move |line| line.is_shared == is_shared)
            .flat_map(|line| [Some(&*line.option), line.value.as_deref()])
            .flatten()
    }

    /// Adds the place to a problem that the parser found in a line of this file. `parses` returns
    /// true if the command line is right with the first so many options: the last one before it
    /// returns false is the cause.
    pub(super) fn place(&self, problem: String, parses: impl Fn(usize) -> bool) -> String {
        let counts: Vec<usize> = (0..=self.len()).collect();
        let right = counts.partition_point(|&count| parses(count));
        let line = right.checked_sub(1).and_then(|n| self.lines.get(n));
        // Otherwise the command line is wrong by itself.
        let Some(line) = line else {
            return problem;
        };
        let message = line.message(problem.trim_end());
        FileError::new(&self.file, Some(line.number), message).to_string()
    }
}

impl<'a> Known<'a> {
    /// Returns the options, without `--help`, for which the parser would print the help.
    fn flags(self) -> impl Iterator<Item = &'a FlagInfo<'a>> {
        let flags = self.shared.iter().chain(self.own);
        flags.filter(|flag| flag.long != HELP)
    }

    /// Returns the error of an option that is not among these.
    fn unknown(self, name: &str) -> String {
        let option = format!("--{name}");
        let owner = |it: &&SubCommandInfo| find_flag(&option, it.command.flags).is_some();
        let problem = format!("unknown option '{name}'");
        match self.commands.iter().find(owner) {
            Some(owner) if option != HELP => {
                format!("{problem}; it is one of 'halves {}'", owner.name)
            }
            _ => did_you_mean(
                &problem,
                nearest(name, self.flags().map(|it| bare(it.long))),
            ),
        }
    }
}

impl Line {
    /// Rewrites a message of the parser about this option for the form that it has in the file.
    fn message(&self, problem: &str) -> String {
        let (option, value) = (&self.option, self.value.as_deref().unwrap_or_default());
        let beginning = format!("Error parsing option '{option}' with value '{value}': ");
        match problem.strip_prefix(&beginning) {
            Some(reason) => format!("{} '{value}': {reason}", bare(option)),
            None => problem.to_owned(),
        }
    }
}

/// Removes a comment, which begins at the start of a line or behind a space, and the spaces around
/// the rest.
fn without_comment(text: &str) -> &str {
    let starts = text.match_indices('#').map(|(at, _)| at);
    let mut comments = starts.filter(|&at| at == 0 || text[..at].ends_with(is_space));
    let end = comments.next().unwrap_or(text.len());
    text[..end].trim_matches(is_space)
}

/// Spaces of ASCII only: another one may be part of a value.
fn is_space(c: char) -> bool {
    c.is_ascii_whitespace()
}

/// Reads `name`, `name value`, `name=value` or `name = value`.
fn line(number: usize, text: &str, known: Known<'_>) -> Result<Line, String> {
    let end = text.find(|c| is_space(c) || c == '=').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.starts_with('-') {
        return Err(format!("write '{}' without hyphens", bare(name)));
    }
    let rest = rest.trim_start_matches(is_space);
    let value = rest.strip_prefix('=').unwrap_or(rest);
    let value = value.trim_start_matches(is_space);
    let option = format!("--{name}");
    if option == CONFIG {
        return Err("a configuration names no other one".to_owned());
    }
    let flag = known.flags().find(|flag| flag.long == option);
    let flag = flag.ok_or_else(|| known.unknown(name))?;
    let takes_value = matches!(flag.kind, FlagInfoKind::Option { .. });
    match (takes_value, rest.is_empty()) {
        (false, false) => return Err(format!("{name} takes no value")),
        (true, true) => return Err(format!("{name} needs a value")),
        _ => {}
    }
    Ok(Line {
        number,
        value: takes_value.then(|| value.to_owned()),
        is_shared: find_flag(&option, known.shared).is_some(),
        option,
    })
}

fn bare(option: &str) -> &str {
    option.trim_start_matches('-')
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use crate::cli::args::{Proxy, Request, Serve, ServerOptions, parse};
    use crate::cli::log::Level;
    use crate::cli::server_command::ServerCommand;

    /// Parses a command line with a file of this text. A problem has FILE in the place of its name.
    fn parsed(words: &[&str], text: impl AsRef<[u8]>) -> Result<Request, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("conf");
        fs::write(&file, text).expect("a file");
        let name = file.to_str().expect("text");
        let words = words.iter().copied().chain(["--config", name]);
        let parsed = parse(words.map(Into::into));
        parsed.map_err(|error| error.problem.trim_end().replace(name, "FILE"))
    }

    fn upper(words: &[&str], text: &str) -> (Serve, Box<ServerOptions>) {
        let words = [&["serve", "upper"], words].concat();
        match parsed(&words, text).expect("a good file") {
            Request::Serve(ServerCommand::Serve(serve), options) => (serve, options),
            other => panic!("{other:?}"),
        }
    }

    fn problem(text: impl AsRef<[u8]>) -> String {
        parsed(&["serve", "upper"], text).expect_err("a bad file")
    }

    #[test]
    fn each_line_is_an_option() {
        let text = "# comment\n\n  listen 7\r\nlisten=8 # why\n\tlisten = /run/a b#c\nquiet\n\
                    #quiet\nclose-word==#x\nidle-timeout\t5m";
        let (serve, options) = upper(&[], text);
        let listen: Vec<_> = options.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["127.0.0.1:7", "127.0.0.1:8", "unix:/run/a b#c"]);
        assert_eq!(options.level(), Level::Quiet);
        assert_eq!(options.idle_timeout, Duration::from_mins(5));
        assert_eq!(serve.close_word.as_deref(), Some("=#x"));
        assert_eq!(upper(&[], "").1.listen.len(), 1);
    }

    #[test]
    fn an_option_of_the_command_line_replaces_all_lines_of_it() {
        let text = "listen 7\nlisten 8\nquiet\nclose-word a\nthreads 0\nidle-timeout 1";
        let words = ["--threads=2", "--listen", "9", "-v", "--close-word=b"];
        let (serve, options) = upper(&words, text);
        let listen: Vec<_> = options.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["127.0.0.1:9"]);
        assert_eq!(options.level(), Level::Verbose);
        assert_eq!(options.threads.get(), 2);
        assert_eq!(options.idle_timeout, Duration::from_secs(1));
        assert_eq!(serve.close_word.as_deref(), Some("b"));
    }

    #[test]
    fn a_file_serves_every_command_of_a_server() {
        let proxy = parsed(&["proxy", "h:1"], "balance least\nlisten 7").expect("good");
        let Request::Serve(ServerCommand::Proxy(Proxy { target, .. }), _) = proxy else {
            panic!("{proxy:?}");
        };
        assert_eq!(target.len(), 1);
        let words = ["exec", "--config=/nosuch", "cat", "-n"].map(Into::into);
        let error = parse(words.into_iter()).expect_err("no file").problem;
        assert!(error.starts_with("/nosuch: No such file"), "{error}");
        let problem = parsed(&["connect", "h:1"], "").expect_err("no server");
        assert_eq!(problem, "unknown option '--config'");
    }

    #[test]
    fn a_problem_has_its_line() {
        for (text, problem) in [
            (
                "\n\nlisen 7",
                "FILE:3: unknown option 'lisen'; did you mean 'listen'?",
            ),
            (
                "balance least",
                "FILE:1: unknown option 'balance'; it is one of 'halves proxy'",
            ),
            ("help", "FILE:1: unknown option 'help'"),
            ("v", "FILE:1: unknown option 'v'"),
            ("upper", "FILE:1: unknown option 'upper'"),
            ("=7", "FILE:1: unknown option ''"),
            ("--listen 7", "FILE:1: write 'listen' without hyphens"),
            ("\nlisten", "FILE:2: listen needs a value"),
            ("listen # 7", "FILE:1: listen needs a value"),
            ("quiet yes", "FILE:1: quiet takes no value"),
            ("config /x", "FILE:1: a configuration names no other one"),
            (
                "listen 7\nthreads 0\nthreads 1",
                "FILE:2: threads '0': not a number from 1 to 1024",
            ),
            (
                "threads 1\n\nthreads 1",
                "FILE:3: threads '1': duplicate values provided",
            ),
            (
                "listen 7\nclose-word=",
                "FILE:2: close-word '': the word must not be empty",
            ),
        ] {
            assert_eq!(self::problem(text), problem);
        }
        assert_eq!(problem(b"\n\xff"), "FILE:2: not UTF-8 text");
    }

    #[test]
    fn a_problem_of_the_command_line_has_no_line() {
        let words = ["serve", "upper", "--threads", "0"];
        let problem = parsed(&words, "threads 1\nlisten 7").expect_err("bad usage");
        assert!(
            problem.ends_with("'0': not a number from 1 to 1024"),
            "{problem}"
        );
        assert!(!problem.contains("FILE"), "{problem}");
        let problem = parsed(&["serve", "upper", "--tls-cert=a"], "").expect_err("bad usage");
        assert!(problem.starts_with("--tls-cert and --tls-key"), "{problem}");
    }

    #[test]
    fn a_file_has_at_most_1_mib() {
        let spaces = |bytes: usize| " ".repeat(bytes);
        let most = 1024 * 1024;
        upper(&[], &spaces(most - 1));
        upper(&[], &spaces(most));
        assert_eq!(problem(spaces(most + 1)), "FILE: longer than 1 MiB");
    }
}
