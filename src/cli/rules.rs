//! Who may connect, as the command is told: networks, and files of them that can be read again.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use halves::limits::{Net, Rules};

/// More is a mistake: each new connection is compared with every network.
const LARGEST_FILE: u64 = 1024 * 1024;

/// A network, or a file with one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Net(Net),
    File(PathBuf),
}

/// All that was given.
#[derive(Debug)]
pub(super) struct RuleSources {
    allow: Vec<Given>,
    deny: Vec<Given>,
    /// The files that named a network when they were last read well.
    filled: HashSet<PathBuf>,
}

/// Why a file of rules cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) file: PathBuf,
    /// From 1; none, when it is the file as a whole.
    pub(super) line: Option<usize>,
    pub(super) what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.what)
    }
}

impl RuleSources {
    pub(super) fn new(allow: Vec<Given>, deny: Vec<Given>) -> Self {
        Self {
            allow,
            deny,
            filled: HashSet::new(),
        }
    }

    /// The rules as they are now, and how many networks they name. Reads files: not for a thread
    /// on which connections are served.
    ///
    /// A file that named a network at an earlier call and names none now is a problem: a file that is
    /// being written is empty for a moment.
    pub(super) fn load(&mut self) -> Result<(Rules, usize), Problem> {
        let mut filled = HashSet::new();
        let allowed = self.nets(&self.allow, &mut filled)?;
        let denied = self.nets(&self.deny, &mut filled)?;
        // A file that is empty, or half written, must not open the door to everyone.
        if allowed.is_empty()
            && let Some(file) = self.allow.iter().find_map(Given::file)
        {
            let what = "no network in it, and no other is allowed: that would be everyone";
            return Err(problem(file, None, what));
        }
        self.filled = filled;
        let count = allowed.len() + denied.len();
        let rules = allowed.into_iter().fold(Rules::default(), Rules::allow);
        Ok((denied.into_iter().fold(rules, Rules::deny), count))
    }

    fn nets(&self, given: &[Given], filled: &mut HashSet<PathBuf>) -> Result<Vec<Net>, Problem> {
        let mut nets = Vec::new();
        for given in given {
            match given {
                Given::Net(net) => nets.push(*net),
                Given::File(file) => {
                    let before = nets.len();
                    read(file, &mut nets)?;
                    if nets.len() > before {
                        filled.insert(file.clone());
                    } else if self.filled.contains(file) {
                        let what = "no network in it any more; a restart takes it as it is";
                        return Err(problem(file, None, what));
                    }
                }
            }
        }
        Ok(nets)
    }
}

impl Given {
    fn file(&self) -> Option<&Path> {
        match self {
            Self::Net(_) => None,
            Self::File(file) => Some(file),
        }
    }
}

fn read(file: &Path, nets: &mut Vec<Net>) -> Result<(), Problem> {
    let failed = |error: std::io::Error| problem(file, None, error);
    // A pipe could be read once only, and might never be opened by anyone else.
    if !fs::metadata(file).map_err(failed)?.is_file() {
        return Err(problem(file, None, "not a regular file"));
    }
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(failed)?;
    let read = opened.take(LARGEST_FILE + 1).read_to_end(&mut bytes);
    if read.map_err(failed)? as u64 > LARGEST_FILE {
        return Err(problem(file, None, "longer than 1 MiB"));
    }
    for (n, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let bad = |what: &dyn fmt::Display| problem(file, Some(n + 1), what);
        let line = str::from_utf8(line).map_err(|_| bad(&"not text"))?;
        let (rule, _comment) = line.split_once('#').unwrap_or((line, ""));
        if !rule.trim().is_empty() {
            nets.push(rule.trim().parse().map_err(|error| bad(&error))?);
        }
    }
    Ok(())
}

fn problem(file: &Path, line: Option<usize>, what: impl fmt::Display) -> Problem {
    Problem {
        file: file.to_owned(),
        line,
        what: what.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Given {
        Given::Net(text.parse().expect("a network"))
    }

    /// The rules of a deny file with this text.
    fn denied(text: &[u8]) -> Result<(Rules, usize), String> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("deny");
        fs::write(&path, text).expect("a file");
        let mut sources = RuleSources::new(vec![], vec![Given::File(path)]);
        let whole = dir.path().display().to_string();
        let loaded = sources.load();
        loaded.map_err(|problem| problem.to_string().replace(&whole, ""))
    }

    #[test]
    fn a_file_has_a_network_a_line() {
        let text = b"# comment\n\n 192.0.2.0/24 # why\r\n2001:db8::/32\n\t::1";
        let (rules, count) = denied(text).expect("it is good");
        assert_eq!(count, 3);
        for (source, admitted) in [
            ("192.0.2.9", false),
            ("2001:db8::9", false),
            ("::1", false),
            ("192.0.3.1", true),
        ] {
            assert_eq!(rules.admit(source.parse().expect(source)), admitted);
        }
        assert_eq!(denied(b"").expect("it is good"), (Rules::default(), 0));
    }

    #[test]
    fn a_bad_file_is_named_with_its_line() {
        for (text, said) in [
            (
                &b"192.0.2.0/24\n\nnonsense"[..],
                "/deny:3: bad network 'nonsense': ",
            ),
            (b"10.0.0.1/8", "/deny:1: bad network '10.0.0.1/8': "),
            (b"::1\n10.0.0.0/8 10.0.0.0/8", "/deny:2: bad network "),
            (b"::1\n\xff\n", "/deny:2: not text"),
            (&vec![b' '; 1024 * 1024 + 1], "/deny: longer than 1 MiB"),
        ] {
            let problem = denied(text).expect_err(said);
            assert!(problem.starts_with(said), "{problem}");
        }
    }

    #[test]
    fn what_cannot_be_read_again_is_no_file_of_rules() {
        for (file, said) in [("/dev/null", "not a regular"), ("/nosuch", "No such file")] {
            let mut sources = RuleSources::new(vec![], vec![Given::File(file.into())]);
            let problem = sources.load().expect_err(file).to_string();
            assert!(problem.starts_with(&format!("{file}: {said}")), "{problem}");
        }
    }

    #[test]
    fn an_empty_allow_file_does_not_allow_everyone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("allow");
        fs::write(&path, "# nobody\n").expect("a file");
        let file = Given::File(path.clone());
        let problem = RuleSources::new(vec![file.clone()], vec![]).load();
        assert_eq!(problem.expect_err("it is empty").file, path);
        let (rules, count) = RuleSources::new(vec![file, net("10.0.0.0/8")], vec![])
            .load()
            .expect("something is allowed");
        assert_eq!(count, 1);
        assert!(!rules.admit("192.0.2.1".parse().expect("an address")));
    }

    #[test]
    fn a_file_that_is_emptied_is_a_problem_until_it_is_filled() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("rules");
        let write = |text: &str| fs::write(&path, text).expect("a file");
        let file = || Given::File(path.clone());
        for (allow, deny) in [
            (vec![file(), net("10.0.0.0/8")], vec![]),
            (vec![], vec![file()]),
        ] {
            let nets = allow.len();
            let mut sources = RuleSources::new(allow, deny);
            write("");
            // That it is empty at first is meant.
            let loaded = sources.load().map(|(_, count)| count);
            assert_eq!(loaded, Ok(nets.saturating_sub(1)));
            write("192.0.2.1\n");
            assert!(sources.load().is_ok());
            for text in ["", "# 192.0.2.1\n", ""] {
                write(text);
                let problem = sources.load().expect_err("it is emptied");
                assert_eq!((&problem.file, problem.line), (&path, None));
            }
            write("192.0.2.2\n");
            assert!(sources.load().is_ok());
        }
    }

    #[test]
    fn a_problem_elsewhere_does_not_forget_what_was_in_a_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
        let write = |path: &Path, text: &str| fs::write(path, text).expect("a file");
        let deny = [&first, &second].map(|path| Given::File(path.clone()));
        let mut sources = RuleSources::new(vec![], deny.to_vec());
        write(&first, "192.0.2.1\n");
        write(&second, "192.0.2.2\n");
        assert!(sources.load().is_ok());
        write(&second, "nonsense\n");
        assert_eq!(sources.load().expect_err("nonsense").line, Some(1));
        write(&second, "");
        assert_eq!(sources.load().expect_err("it is emptied").file, second);
    }
}
