//! `--allow` and `--deny`: networks, and files of networks that can be reloaded.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use halves::limits::{Net, Rules};

use super::text_file::{self, FileError};

/// The value of one `--allow` or `--deny`: a network, or a file with a network on each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RuleSource {
    Net(Net),
    File(PathBuf),
}

/// The values of all `--allow` and `--deny` options.
#[derive(Debug)]
pub(super) struct RuleSources {
    allow: Vec<RuleSource>,
    deny: Vec<RuleSource>,
    /// The files that had a network at the last successful load.
    filled: HashSet<PathBuf>,
}

impl RuleSources {
    pub(super) fn new(allow: Vec<RuleSource>, deny: Vec<RuleSource>) -> Self {
        Self {
            allow,
            deny,
            filled: HashSet::new(),
        }
    }

    /// Reads each file, and returns the errors of all.
    pub(super) fn problems(&self) -> Vec<FileError> {
        let files = self.allow.iter().chain(&self.deny);
        let files = files.filter_map(RuleSource::file);
        files
            .filter_map(|file| read(file, &mut Vec::new()).err())
            .collect()
    }

    /// Reads the files, and returns the rules with the number of networks in them. Blocks: not for
    /// a thread that serves connections.
    ///
    /// A file that had a network at an earlier call and has none now is an error: a file that is
    /// being written is empty for a moment.
    pub(super) fn load(&mut self) -> Result<(Rules, usize), FileError> {
        let mut filled = HashSet::new();
        let allowed = self.nets(&self.allow, &mut filled)?;
        let denied = self.nets(&self.deny, &mut filled)?;
        // An empty or half-written file must not allow every client.
        if allowed.is_empty()
            && let Some(file) = self.allow.iter().find_map(RuleSource::file)
        {
            let message =
                "no network in this file, and no other is allowed: every client could connect";
            return Err(FileError::new(file, None, message));
        }
        self.filled = filled;
        let count = allowed.len() + denied.len();
        let rules = allowed.into_iter().fold(Rules::default(), Rules::allow);
        Ok((denied.into_iter().fold(rules, Rules::deny), count))
    }

    fn nets(
        &self,
        sources: &[RuleSource],
        filled: &mut HashSet<PathBuf>,
    ) -> Result<Vec<Net>, FileError> {
        let mut nets = Vec::new();
        for source in sources {
            match source {
                RuleSource::Net(net) => nets.push(*net),
                RuleSource::File(file) => {
                    let before = nets.len();
                    read(file, &mut nets)?;
                    if nets.len() > before {
                        filled.insert(file.clone());
                    } else if self.filled.contains(file) {
                        let message = "no network in this file any more; a restart accepts that";
                        return Err(FileError::new(file, None, message));
                    }
                }
            }
        }
        Ok(nets)
    }
}

impl RuleSource {
    fn file(&self) -> Option<&Path> {
        match self {
            Self::Net(_) => None,
            Self::File(file) => Some(file),
        }
    }
}

fn read(file: &Path, nets: &mut Vec<Net>) -> Result<(), FileError> {
    text_file::read(file, |_, line| {
        let (rule, _comment) = line.split_once('#').unwrap_or((line, ""));
        if !rule.trim().is_empty() {
            nets.push(rule.trim().parse()?);
        }
        Ok::<_, halves::Error>(())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn net(text: &str) -> RuleSource {
        RuleSource::Net(text.parse().expect("a network"))
    }

    /// The rules of a deny file with this text.
    fn denied(text: &[u8]) -> Result<(Rules, usize), String> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("deny");
        fs::write(&path, text).expect("a file");
        let mut sources = RuleSources::new(vec![], vec![RuleSource::File(path)]);
        let whole = dir.path().display().to_string();
        let loaded = sources.load();
        loaded.map_err(|problem| problem.to_string().replace(&whole, ""))
    }

    #[test]
    fn each_line_of_a_file_is_a_network() {
        let text = b"# comment\n\n 192.0.2.0/24 # why\r\n2001:db8::/32\n\t::1";
        let (rules, count) = denied(text).expect("it is good");
        assert_eq!(count, 3);
        for (address, admitted) in [
            ("192.0.2.9", false),
            ("2001:db8::9", false),
            ("::1", false),
            ("192.0.3.1", true),
        ] {
            assert_eq!(rules.admit(address.parse().expect(address)), admitted);
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
            (b"::1\n\xff\n", "/deny:2: not UTF-8 text"),
            (&vec![b' '; 1024 * 1024 + 1], "/deny: longer than 1 MiB"),
        ] {
            let problem = denied(text).expect_err(said);
            assert!(problem.starts_with(said), "{problem}");
        }
    }

    #[test]
    fn only_a_regular_file_is_a_rule_file() {
        for (file, said) in [("/dev/null", "not a regular"), ("/nosuch", "No such file")] {
            let mut sources = RuleSources::new(vec![], vec![RuleSource::File(file.into())]);
            let problem = sources.load().expect_err(file).to_string();
            assert!(problem.starts_with(&format!("{file}: {said}")), "{problem}");
        }
    }

    #[test]
    fn an_empty_allow_file_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("allow");
        fs::write(&path, "# none\n").expect("a file");
        let file = RuleSource::File(path.clone());
        let problem = RuleSources::new(vec![file.clone()], vec![]).load();
        assert_eq!(problem.expect_err("it is empty").file, path);
        let (rules, count) = RuleSources::new(vec![file, net("10.0.0.0/8")], vec![])
            .load()
            .expect("something is allowed");
        assert_eq!(count, 1);
        assert!(!rules.admit("192.0.2.1".parse().expect("an address")));
    }

    #[test]
    fn an_emptied_file_is_an_error_until_it_is_filled() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("rules");
        let write = |text: &str| fs::write(&path, text).expect("a file");
        let file = || RuleSource::File(path.clone());
        for (allow, deny) in [
            (vec![file(), net("10.0.0.0/8")], vec![]),
            (vec![], vec![file()]),
        ] {
            let nets = allow.len();
            let mut sources = RuleSources::new(allow, deny);
            write("");
            // A file may be empty at the first load.
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
    fn an_error_in_one_file_keeps_the_memory_of_the_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
        let write = |path: &Path, text: &str| fs::write(path, text).expect("a file");
        let deny = [&first, &second].map(|path| RuleSource::File(path.clone()));
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
