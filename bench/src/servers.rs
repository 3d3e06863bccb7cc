//! The servers of the comparison, and their command lines.

use crate::place::Place;
use crate::rows::{self, Layer, Row, Service};
use crate::runtime::Runtime;
use crate::tls;
use std::io;
use std::path::{Path, PathBuf};

/// A server and its command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub name: String,
    pub program: PathBuf,
    /// Placeholders: `{port}` or `{path}`, `{buffer}`, `{threads}`, `{cert}` and `{key}` for files,
    /// `{work}` and `{block}` in microseconds, `{origin}` for the port of the server behind a relay,
    /// and `{config}` and `{folder}` for paths.
    pub words: Vec<String>,
    /// Added for a row with several threads.
    pub words_for_threads: Vec<String>,
    /// True if it differs from another peer in TCP_NODELAY only; then it skips rows that this does
    /// not affect.
    pub nodelay_variant: bool,
    pub service: Service,
    /// The contents of its file of settings, with the same placeholders.
    pub config: Option<&'static str>,
    /// The kind of address that it listens on.
    pub listens: Listens,
    pub layer: Layer,
    /// True if it is also measured with a PROXY header.
    pub beside_proxy: bool,
    /// The runtime of another project that it runs on; then it takes part in the rows of that
    /// runtime only.
    pub runtime: Option<Runtime>,
}

/// The kind of address that a server listens on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Listens {
    Tcp,
    /// TCP, including the row that compares TCP with Unix sockets.
    TcpBesideUnix,
    /// A Unix socket, for that row only.
    Unix,
}

impl Server {
    /// A server with `{cert}` in its command speaks TLS.
    pub fn new(name: &str, program: impl Into<PathBuf>, words: &str) -> Server {
        let layer = match words.contains("{cert}") {
            true => Layer::Tls,
            false => Layer::None,
        };
        Server {
            name: name.into(),
            program: program.into(),
            words: split(words),
            words_for_threads: Vec::new(),
            nodelay_variant: false,
            service: Service::Upper,
            config: None,
            listens: Listens::Tcp,
            layer,
            beside_proxy: false,
            runtime: None,
        }
    }

    /// A server of the option `--extra`.
    pub fn from_command(name: &str, command: &str) -> Server {
        let (program, words) = command.trim().split_once(' ').unwrap_or((command, ""));
        Server::new(name, program, words)
    }

    /// Returns the same server with TCP_NODELAY and its own name.
    pub fn with_nodelay(&self) -> Server {
        let mut server = self.clone();
        server.name += "-nodelay";
        server.words.push("--nodelay".into());
        server.nodelay_variant = true;
        server
    }

    pub fn takes_part(&self, row: &Row) -> bool {
        if self.service != row.service
            || self.runtime != row.runtime
            || (row.has_work() && !self.works())
        {
            return false;
        }
        let without_proxy = row.layer == Layer::Proxy && self.beside_proxy;
        if self.layer != row.layer && !without_proxy {
            return false;
        }
        match self.listens {
            Listens::Tcp => !row.beside_unix && (row.nodelay_matters || !self.nodelay_variant),
            Listens::TcpBesideUnix => true,
            Listens::Unix => row.beside_unix,
        }
    }

    /// Returns true if it does the work that messages request: its command then has `{work}`.
    fn works(&self) -> bool {
        self.words.iter().any(|word| word.contains("{work}"))
    }

    /// Returns an address to listen on: a free port, or a path in `folder`.
    pub fn place(&self, folder: &Path) -> io::Result<Place> {
        match self.listens {
            Listens::Unix => Ok(Place::Unix(folder.join("socket"))),
            Listens::Tcp | Listens::TcpBesideUnix => Place::free_port(),
        }
    }

    /// Returns the arguments to serve `row` on `place`, with the certificate in `folder`.
    pub fn arguments(&self, row: &Row, place: &Place, folder: &Path) -> Vec<String> {
        let more: &[String] = match row.threads {
            1 => &[],
            _ => &self.words_for_threads,
        };
        let fill = |word: &String| self.fill(word, row, place, folder);
        self.words.iter().chain(more).map(fill).collect()
    }

    /// Replaces the placeholders in a text, except `{origin}`.
    pub fn fill(&self, text: &str, row: &Row, place: &Place, folder: &Path) -> String {
        text.replace("{port}", &place.port())
            .replace("{path}", &place.path())
            .replace("{buffer}", &row.buffer.to_string())
            .replace("{cert}", &tls::certificate_path(folder).to_string_lossy())
            .replace("{key}", &tls::key_path(folder).to_string_lossy())
            .replace("{threads}", &row.threads.to_string())
            .replace("{work}", &rows::WORK_TIME.as_micros().to_string())
            .replace("{block}", &rows::BLOCKED_TIME.as_micros().to_string())
            .replace("{config}", &self.config_path(folder).to_string_lossy())
            .replace("{folder}", &folder.to_string_lossy())
    }

    /// Returns the path of its file of settings.
    pub fn config_path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.conf", self.name))
    }
}

/// Splits at blanks, without quoting.
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
        let arguments = server.arguments(&row("bulk-64k"), &port(7000), Path::new("/tmp"));
        assert_eq!(
            arguments,
            ["--listen", "127.0.0.1:7000", "--buffer", "65536"]
        );
    }

    #[test]
    fn a_row_with_several_threads_adds_the_option() {
        let server = Server {
            words_for_threads: split("--threads {threads}"),
            ..Server::new("s", "./s", "")
        };
        assert!(
            server
                .arguments(&row("echo-50"), &port(1), Path::new("/tmp"))
                .is_empty()
        );
        assert_eq!(
            server.arguments(&row("threads"), &port(1), Path::new("/tmp")),
            ["--threads", "2"]
        );
    }

    #[test]
    fn only_servers_that_do_work_take_part_in_rows_with_work() {
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
            works.arguments(&row("skewed"), &port(1), Path::new("/tmp")),
            ["--work", "200", "--block", "1000000"]
        );
    }

    #[test]
    fn a_server_with_a_certificate_takes_part_in_rows_with_tls_only() {
        let plain = Server::new("s", "./s", "");
        let tls = Server::from_command("s", "./s --cert {cert} --key {key}");
        assert_eq!(tls.program, PathBuf::from("./s"));
        for (row_name, takes_part) in [("close", [true, false]), ("tls-full", [false, true])] {
            let row = row(row_name);
            assert_eq!([&plain, &tls].map(|s| s.takes_part(&row)), takes_part);
        }
        assert_eq!(
            tls.arguments(&row("tls-full"), &port(1), Path::new("/tmp")),
            ["--cert", "/tmp/cert.pem", "--key", "/tmp/key.pem"]
        );
    }

    #[test]
    fn the_proxy_row_compares_servers_with_and_without_the_header() {
        let plain = Server::new("s", "./s", "");
        let beside = Server {
            beside_proxy: true,
            ..plain.clone()
        };
        let proxy = Server {
            layer: Layer::Proxy,
            ..plain.clone()
        };
        for (row_name, takes_part) in [
            ("close", [true, true, false]),
            ("proxy", [false, true, true]),
            ("tls-full", [false, false, false]),
        ] {
            let row = row(row_name);
            let servers = [&plain, &beside, &proxy];
            assert_eq!(servers.map(|s| s.takes_part(&row)), takes_part);
        }
    }

    #[test]
    fn nodelay_variants_take_part_only_in_rows_that_it_affects() {
        let server = Server::new("s", "./s", "").with_nodelay();
        assert!(server.takes_part(&row("bulk-1k")));
        assert!(!server.takes_part(&row("echo-1")));
    }

    #[test]
    fn servers_of_a_runtime_take_part_only_in_its_rows() {
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
    fn the_unix_row_has_only_servers_with_both_kinds_of_sockets() {
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
        let arguments = unix.arguments(&row("unix-50"), &place, Path::new("/tmp"));
        assert_eq!(arguments, ["--listen", "/tmp/socket"]);
    }
}
