//! Builds the peers, and names those that this machine cannot run.

use crate::options::Options;
use crate::origin;
use crate::rows::{Layer, Service};
use crate::runtime::Runtime;
use crate::servers::{Listens, Server, split};
use crate::tls;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The servers that can run on this machine, and the reasons why others cannot.
pub struct Field {
    pub servers: Vec<Server>,
    pub skipped: Vec<String>,
    /// The folder for logs, and for the certificate.
    pub folder: PathBuf,
}

impl Field {
    /// Builds the peers and keeps the servers named in `only`, or all if it is empty.
    pub fn prepare(options: &Options, only: &[String]) -> io::Result<Field> {
        let beside = env::current_exe()?.with_file_name("");
        let mut field = Field {
            servers: Vec::new(),
            skipped: Vec::new(),
            folder: beside.join("halves-bench-peers"),
        };
        fs::create_dir_all(&field.folder)?;
        tls::create_identity(&field.folder)?;
        field.add_halves(options, &beside);
        for (name, command) in &options.extra {
            field.servers.push(Server::from_command(name, command));
        }
        field.add_c();
        field.add_rust(&beside)?;
        field.add_python();
        field.add_go();
        field.add_relays(options, &beside);
        field.add_exec(options, &beside);
        field.keep_only(only)?;
        Ok(field)
    }

    fn add_halves(&mut self, options: &Options, beside: &Path) {
        let program = halves(options, beside);
        if !program.is_file() {
            self.skip(HALVES, &format!("{} is missing", program.display()));
            return;
        }
        for (name, at) in [
            (HALVES, "127.0.0.1:{port}"),
            (HALVES_UNIX, "unix:{path}"),
            (
                HALVES_TLS,
                "127.0.0.1:{port} --tls-cert {cert} --tls-key {key}",
            ),
            (
                HALVES_PROXY,
                "127.0.0.1:{port} --proxy-protocol v2 --trust-proxy 127.0.0.0/8",
            ),
        ] {
            let mut server = Server::new(name, &program, &format!("serve upper --listen {at}"));
            server.words.extend_from_slice(&options.halves_options);
            server.words_for_threads = split(THREADS_OPTION);
            match name {
                HALVES => {
                    server.listens = Listens::TcpBesideUnix;
                    server.beside_proxy = true;
                }
                HALVES_UNIX => server.listens = Listens::Unix,
                HALVES_PROXY => server.layer = Layer::Proxy,
                _ => {}
            }
            self.servers.push(server);
        }
    }

    fn add_c(&mut self) {
        let program = origin::program(&self.folder);
        let mut build = Command::new("cc");
        build
            .args(["-O2", "-pthread", "-o"])
            .arg(&program)
            .arg(source(origin::SOURCE));
        if self.builds("c-epoll", &mut build) {
            let mut server = Server::new("c-epoll", program, PEER_OPTIONS);
            server.words_for_threads = split(THREADS_OPTION);
            let variant = server.with_nodelay();
            self.servers.extend([server, variant]);
        }
    }

    /// Builds the peers in Rust: `cargo run` has built this program only, so they may be missing or
    /// old.
    fn add_rust(&mut self, beside: &Path) -> io::Result<()> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--release", "--bins", "--manifest-path"]);
        build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        build.arg("--target-dir").arg(beside.join(".."));
        if !self.builds(
            "halves-lib, tokio, async-net, std-threads, the chats and the servers with TLS",
            &mut build,
        ) {
            return Ok(());
        }
        let tokio = Server::new("tokio", beside.join("peer-tokio"), PEER_OPTIONS);
        let mut workers = Server::new("tokio-mt", &tokio.program, PEER_OPTIONS);
        workers.words.extend(split("--threads 2"));
        workers.words.extend(split(WORK_OPTIONS));
        let mut library = Server::new(HALVES_LIB, beside.join("peer-halves"), PEER_OPTIONS);
        library.words_for_threads = split(THREADS_OPTION);
        library.words.extend(split(WORK_OPTIONS));
        library.beside_proxy = true;
        let mut proxy = Server::new(HALVES_LIB_PROXY, &library.program, PEER_OPTIONS);
        proxy.words.push("--proxy".into());
        proxy.layer = Layer::Proxy;
        self.servers.extend([library, proxy]);
        let variants = [tokio.with_nodelay(), workers.with_nodelay()];
        self.servers.extend([tokio, workers]);
        self.servers.extend(variants);
        self.add_chats(beside);
        self.add_on_runtimes(beside);
        self.add_tls(beside);
        for (name, program) in [
            ("async-net", "peer-async-net"),
            ("std-threads", "peer-threads"),
        ] {
            self.servers
                .push(Server::new(name, beside.join(program), PEER_OPTIONS));
        }
        Ok(())
    }

    fn add_chats(&mut self, beside: &Path) {
        let chat = |name, program, words| Server {
            service: Service::Chat,
            ..Server::new(name, beside.join(program), words)
        };
        let tokio = chat("tokio-chat", "peer-tokio-chat", PEER_OPTIONS);
        let halves = chat(HALVES_CHAT, "peer-halves-chat", "127.0.0.1:{port}");
        let nodelay = tokio.with_nodelay();
        self.servers.extend([halves, tokio, nodelay]);
    }

    fn add_tls(&mut self, beside: &Path) {
        let halves = beside.join("peer-halves-tls");
        let halves = Server::new(HALVES_TLS_LIB, halves, TLS_PEER_OPTIONS);
        self.servers.push(halves);
        for (name, program) in [
            (TOKIO_RUSTLS, "peer-tokio-rustls"),
            ("futures-rustls", "peer-futures-rustls"),
        ] {
            let mut server = Server::new(name, beside.join(program), TLS_PEER_OPTIONS);
            // Without it, tickets that are not yet acknowledged delay the echo by 40 ms.
            server.words.push("--nodelay".into());
            self.servers.push(server);
        }
    }

    fn add_on_runtimes(&mut self, beside: &Path) {
        for runtime in Runtime::ALL {
            let own = match runtime {
                Runtime::Tokio => "peer-tokio",
                _ => "peer-async-net",
            };
            for (name, program) in [
                (plain(runtime), own),
                (halves_on(runtime), "peer-halves-on"),
            ] {
                let mut server = Server::new(&name, beside.join(program), PEER_OPTIONS);
                server
                    .words
                    .extend(["--runtime".into(), runtime.name().into()]);
                server.runtime = Some(runtime);
                self.servers.push(server);
            }
        }
    }

    fn add_python(&mut self) {
        if self.builds("asyncio", Command::new("python3").arg("--version")) {
            let mut server = Server::new("asyncio", "python3", "");
            server.words.push(source("asyncio_upper.py"));
            server.words.extend(split(PEER_OPTIONS));
            self.servers.push(server);
        }
    }

    fn add_go(&mut self) {
        let program = self.folder.join("upper-go");
        let mut build = Command::new("go");
        build
            .args(["build", "-o"])
            .arg(&program)
            .arg(source("upper.go"));
        if self.builds("go", &mut build) {
            let mut server = Server::new("go", program, PEER_OPTIONS);
            server.words.extend(split(WORK_OPTIONS));
            self.servers.push(server);
        }
    }

    /// Runs a build or a check. If it fails, `name` is skipped.
    pub fn builds(&mut self, name: &str, command: &mut Command) -> bool {
        eprintln!("preparing {name}");
        let tool = command.get_program().display().to_string();
        match command.stdin(Stdio::null()).stdout(Stdio::null()).status() {
            Ok(status) if status.success() => return true,
            Ok(status) => self.skip(name, &format!("{tool} ended with {status}")),
            Err(error) => self.skip(name, &format!("{tool}: {error}")),
        }
        false
    }

    pub fn skip(&mut self, name: &str, reason: &str) {
        self.skipped.push(format!("{name}: {reason}"));
    }

    fn keep_only(&mut self, names: &[String]) -> io::Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        self.servers.retain(|server| names.contains(&server.name));
        // A reason begins with the names of its servers.
        let about = |reason: &String, name: &String| {
            reason
                .split(':')
                .next()
                .is_some_and(|list| list.contains(&name[..]))
        };
        self.skipped
            .retain(|reason| names.iter().any(|name| about(reason, name)));
        for name in names {
            let runs = self.servers.iter().any(|server| server.name == *name);
            if !runs && !self.skipped.iter().any(|reason| about(reason, name)) {
                return Err(io::Error::other(format!(
                    "there is no server called {name}"
                )));
            }
        }
        Ok(())
    }
}

/// Returns the name of the plain loop on a runtime.
pub fn plain(runtime: Runtime) -> String {
    format!("plain-on-{}", runtime.name())
}

fn halves_on(runtime: Runtime) -> String {
    format!("halves-on-{}", runtime.name())
}

/// Returns the command under test.
pub fn halves(options: &Options, beside: &Path) -> PathBuf {
    let program = options.halves.clone();
    program.unwrap_or_else(|| beside.join("halves"))
}

pub fn source(name: &str) -> String {
    format!("{}/peers/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The server under test.
pub const HALVES: &str = "halves";
/// A handler with its own buffer, on the library.
pub const HALVES_LIB: &str = "halves-lib";
const HALVES_LIB_PROXY: &str = "halves-lib-proxy";
const HALVES_TLS_LIB: &str = "halves-tls-lib";
/// The reference server of the rows with TLS.
pub const TOKIO_RUSTLS: &str = "tokio-rustls";
/// The servers that the row of instructions counts by default.
pub const COUNTED: [&str; 10] = [
    HALVES,
    HALVES_PROXY,
    HALVES_LIB,
    HALVES_LIB_PROXY,
    "tokio",
    "c-epoll",
    HALVES_TLS,
    HALVES_TLS_LIB,
    TOKIO_RUSTLS,
    "futures-rustls",
];
/// The reference servers of the rows with a relay.
pub const RELAYS: [&str; 3] = ["nginx-relay", "tokio-relay", "go-relay"];
/// The reference servers of the broadcast rows.
pub const CHATS: [&str; 2] = ["tokio-chat", "tokio-chat-nodelay"];
const HALVES_CHAT: &str = "halves-chat";
const HALVES_TLS: &str = "halves-tls";
const HALVES_PROXY: &str = "halves-proxy";
const HALVES_UNIX: &str = "halves-unix";
const PEER_OPTIONS: &str = "--port {port} --buffer {buffer}";
const TLS_PEER_OPTIONS: &str = "--port {port} --buffer {buffer} --cert {cert} --key {key}";
const THREADS_OPTION: &str = "--threads {threads}";
const WORK_OPTIONS: &str = "--work {work} --block {block}";
