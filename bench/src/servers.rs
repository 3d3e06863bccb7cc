//! Who can take part, and how each is started.

use crate::rows::Row;
use std::path::PathBuf;

/// A server and the words that start it.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub name: String,
    pub program: PathBuf,
    /// May hold `{port}`, `{buffer}` and `{threads}`.
    pub words: Vec<String>,
    /// Added where a row asks for several threads.
    pub words_for_threads: Vec<String>,
    /// A peer that differs from another in TCP_NODELAY only: left out where that cannot matter.
    pub nodelay_variant: bool,
}

impl Server {
    pub fn new(name: &str, program: impl Into<PathBuf>, words: &str) -> Server {
        Server {
            name: name.into(),
            program: program.into(),
            words: split(words),
            words_for_threads: Vec::new(),
            nodelay_variant: false,
        }
    }

    /// The same server with TCP_NODELAY, under a name of its own.
    pub fn with_nodelay(&self) -> Server {
        let mut server = self.clone();
        server.name += "-nodelay";
        server.words.push("--nodelay".into());
        server.nodelay_variant = true;
        server
    }

    pub fn takes_part(&self, row: &Row) -> bool {
        row.nodelay_matters || !self.nodelay_variant
    }

    /// The arguments that serve `row` on `port`.
    pub fn arguments(&self, row: &Row, port: u16) -> Vec<String> {
        let more: &[String] = match row.threads {
            1 => &[],
            _ => &self.words_for_threads,
        };
        let fill = |word: &String| {
            word.replace("{port}", &port.to_string())
                .replace("{buffer}", &row.buffer.to_string())
                .replace("{threads}", &row.threads.to_string())
        };
        self.words.iter().chain(more).map(fill).collect()
    }
}

/// Splits at blanks; there is no quoting.
pub fn split(words: &str) -> Vec<String> {
    words.split_whitespace().map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    fn row(name: &str) -> Row {
        rows::select(&[name.into()]).unwrap()[0]
    }

    #[test]
    fn placeholders_are_filled_in() {
        let server = Server::new("s", "./s", "--listen 127.0.0.1:{port} --buffer {buffer}");
        let arguments = server.arguments(&row("bulk-64k"), 7000);
        assert_eq!(
            arguments,
            ["--listen", "127.0.0.1:7000", "--buffer", "65536"]
        );
    }

    #[test]
    fn threads_are_asked_for_where_the_row_has_several() {
        let server = Server {
            words_for_threads: split("--threads {threads}"),
            ..Server::new("s", "./s", "")
        };
        assert!(server.arguments(&row("echo-50"), 1).is_empty());
        assert_eq!(server.arguments(&row("threads"), 1), ["--threads", "2"]);
    }

    #[test]
    fn nodelay_variants_keep_to_the_rows_where_it_matters() {
        let server = Server::new("s", "./s", "").with_nodelay();
        assert!(server.takes_part(&row("bulk-1k")));
        assert!(!server.takes_part(&row("echo-1")));
    }
}
