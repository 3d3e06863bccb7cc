//! The steps: the examples, which are built here, and two servers in Python.

use crate::servers::{Server, split};
use std::env;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// A server of the table.
pub struct Step {
    pub server: Server,
    pub kind: Kind,
    /// True if a second client has to wait until the first has disconnected.
    pub one_at_a_time: bool,
}

/// The kind of a step, which has a color in the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Blocking,
    OwnLoop,
    Library,
    Python,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Blocking, Kind::OwnLoop, Kind::Library, Kind::Python];

    pub fn title(self) -> &'static str {
        match self {
            Kind::Blocking => "blocks",
            Kind::OwnLoop => "a loop by hand",
            Kind::Library => "a library's loop",
            Kind::Python => "Python",
        }
    }

    /// Returns the CSS class in the picture.
    pub fn class(self) -> &'static str {
        match self {
            Kind::Blocking => "blocking",
            Kind::OwnLoop => "loop",
            Kind::Library => "library",
            Kind::Python => "python",
        }
    }
}

/// Builds the examples. Returns the steps, and the reasons for those that this machine cannot run.
pub fn prepare() -> io::Result<(Vec<Step>, Vec<String>)> {
    let beside = env::current_exe()?.with_file_name("");
    build(&beside)?;
    let mut steps: Vec<Step> = STEPS
        .iter()
        .zip(1..)
        .map(|(&(title, kind), number)| {
            let program = beside.join(format!("examples/ladder_0{number}"));
            Step {
                server: Server::new(&format!("{number} {title}"), program, "127.0.0.1:{port}"),
                kind,
                one_at_a_time: number == 1,
            }
        })
        .collect();
    let mut skipped = Vec::new();
    let mut python = Command::new("python3");
    python.arg("--version").stdout(Stdio::null());
    if python.status().is_ok_and(|status| status.success()) {
        steps.extend(PYTHON.map(|(title, file)| {
            let mut server = Server::new(title, "python3", "");
            let folder = env!("CARGO_MANIFEST_DIR");
            server.words.push(format!("{folder}/peers/{file}"));
            server.words.extend(split("--port {port}"));
            Step {
                server,
                kind: Kind::Python,
                one_at_a_time: false,
            }
        }));
    } else {
        skipped.push("Python's counterparts: python3 is missing".into());
    }
    Ok((steps, skipped))
}

/// Builds the examples, as `cargo run` builds this program only.
fn build(beside: &Path) -> io::Result<()> {
    eprintln!("preparing the steps");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--release", "--manifest-path"]);
    build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    build.arg("--target-dir").arg(beside.join(".."));
    for number in 1..=STEPS.len() {
        build.arg("--example").arg(format!("ladder_0{number}"));
    }
    match build.status()?.success() {
        true => Ok(()),
        false => Err(io::Error::other(
            "cargo cannot build the examples of the steps",
        )),
    }
}

const STEPS: [(&str, Kind); 9] = [
    ("blocking", Kind::Blocking),
    ("threads", Kind::Blocking),
    ("processes", Kind::Blocking),
    ("callbacks", Kind::OwnLoop),
    ("coroutines", Kind::OwnLoop),
    ("SelectorLoop", Kind::OwnLoop),
    ("async and await", Kind::OwnLoop),
    ("async-io", Kind::Library),
    ("Halves", Kind::Library),
];

const PYTHON: [(&str, &str); 2] = [
    ("Python, generators", "generators_upper.py"),
    ("Python, asyncio", "asyncio_upper.py"),
];
