//! Who can take part, and how each is started.

use crate::place::Place;
use crate::rows::{self, Row, Service};
use crate::runtime::Runtime;
use std::io;
use std::path::{Path, PathBuf};

/// A server and the words that start it.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub name: String,
    pub program: PathBuf,
    /// May hold `{port}` or `{path}`, `{buffer}`, `{threads}`, and microseconds of `{work}` and `{block}`.
    pub words: Vec<String>,
    /// Added where a row asks for several threads.
    pub words_for_threads: Vec<String>,
    /// A peer that differs from another in TCP_NODELAY only: left out where that cannot matter.
    pub nodelay_variant: bool,
    pub service: Service,
    /// Where it listens.
    pub listens: Listens,
    /// The runtime of another project on which it is compared, and only there.
    pub runtime: Option<Runtime>,
}

/// What a server listens on, and whether it is compared with itself on something else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Listens {
    Tcp,
    /// On TCP, also where that is compared with Unix sockets.
    TcpBesideUnix,
    /// On a Unix socket, only there.
    Unix,
}

impl Server {
    pub fn new(name: &str, program: impl Into<PathBuf>, words: &str) -> Server {
        Server {
            name: name.into(),
            program: program.into(),
            words: split(words),
            words_for_threads: Vec::new(),
            nodelay_variant: false,
            service: Service::Upper,
            listens: Listens::Tcp,
            runtime: None,
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
        if self.service != row.service()
            || self.runtime != row.runtime
            || (row.has_work() && !self.works())
        {
            return false;
        }
        match self.listens {
            Listens::Tcp => !row.beside_unix && (row.nodelay_matters || !self.nodelay_variant),
            Listens::TcpBesideUnix => true,
            Listens::Unix => row.beside_unix,
        }
    }

    /// Whether it does the work that messages ask for: its command says how much.
    fn works(&self) -> bool {
        self.words.iter().any(|word| word.contains("{work}"))
    }

    /// Where to have it listen: a free port, or a path in `folder`.
    pub fn place(&self, folder: &Path) -> io::Result<Place> {
        match self.listens {
            Listens::Unix => Ok(Place::Unix(folder.join("socket"))),
            Listens::Tcp | Listens::TcpBesideUnix => Place::free_port(),
        }
    }

    /// The arguments that serve `row` at `place`.
    pub fn arguments(&self, row: &Row, place: &Place) -> Vec<String> {
        let more: &[String] = match row.threads {
            1 => &[],
            _ => &self.words_for_threads,
        };
        let fill = |word: &String| {
            word.replace("{port}", &place.port())
                .replace("{path}", &place.path())
                .replace("{buffer}", &row.buffer.to_string())
                .replace("{threads}", &row.threads.to_string())
                .replace("{work}", &rows::WORK.as_micros().to_string())
                .replace("{block}", &rows::BLOCKED.as_micros().to_string())
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

    fn row(name: &str) -> Row {
        rows::select(&[name.into()]).unwrap()[0]
    }

    fn port(port: u16) -> Place {
        Place::Tcp(([127, 0, 0, 1], port).into())
    }

    #[test]
    fn placeholders_are_filled_in() {
        let server = Server::new("s", "./s", "--listen 127.0.0.1:{port} --buffer {buffer}");
        let arguments = server.arguments(&row("bulk-64k"), &port(7000));
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
        assert!(server.arguments(&row("echo-50"), &port(1)).is_empty());
        assert_eq!(
            server.arguments(&row("threads"), &port(1)),
            ["--threads", "2"]
        );
    }

    #[test]
    fn only_servers_that_work_take_part_where_messages_ask_for_it() {
        let idle = Server::new("s", "./s", "");
        let works = Server::new("s", "./s", "--work {work} --block {block}");
        for (row_name, takes_part) in [
            ("skewed", [false, true]),
            ("blocked", [false, true]),
            ("threads-50", [true, true]),
        ] {
            let row = row(row_name);
            assert_eq!([&idle, &works].map(|s| s.takes_part(&row)), takes_part);
        }
        assert_eq!(
            works.arguments(&row("skewed"), &port(1)),
            ["--work", "200", "--block", "1000000"]
        );
    }

    #[test]
    fn nodelay_variants_keep_to_the_rows_where_it_matters() {
        let server = Server::new("s", "./s", "").with_nodelay();
        assert!(server.takes_part(&row("bulk-1k")));
        assert!(!server.takes_part(&row("echo-1")));
    }

    #[test]
    fn servers_of_a_runtime_keep_to_its_rows() {
        let server = Server::new("s", "./s", "");
        let on_smol = Server {
            runtime: Some(Runtime::Smol),
            ..server.clone()
        };
        for (row_name, takes_part) in [
            ("echo-1", [true, false]),
            ("on-smol-1", [false, true]),
            ("on-tokio-1", [false, false]),
        ] {
            let row = row(row_name);
            assert_eq!([&server, &on_smol].map(|s| s.takes_part(&row)), takes_part);
        }
    }

    #[test]
    fn unix_sockets_have_their_own_row_with_those_that_have_both() {
        let tcp = Server::new("s", "./s", "");
        let both = Server {
            listens: Listens::TcpBesideUnix,
            ..tcp.clone()
        };
        let unix = Server {
            listens: Listens::Unix,
            ..Server::new("s", "./s", "--listen {path}")
        };
        for (row_name, takes_part) in [
            ("echo-50", [true, true, false]),
            ("unix-50", [false, true, true]),
        ] {
            let row = row(row_name);
            assert_eq!([&tcp, &both, &unix].map(|s| s.takes_part(&row)), takes_part);
        }
        let place = unix.place(Path::new("/tmp")).unwrap();
        let arguments = unix.arguments(&row("unix-50"), &place);
        assert_eq!(arguments, ["--listen", "/tmp/socket"]);
    }
}
