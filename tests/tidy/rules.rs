//! The rules. Each takes a source file and returns its complaints, a line each.

use crate::paths::paths;
use crate::source::Source;

/// The modules of the crate, the lowest layer first. A module names only modules of lower layers. `lib`
/// stands for the names that src/lib.rs exports, `main` for src/main.rs.
pub(crate) const LAYERS: &[&[&str]] = &[
    &[
        "blocking", "catch", "error", "escape", "framing", "polling", "reason", "signals", "spawn",
        "sync",
    ],
    &["duration", "shutdown", "stats", "waker_slot"],
    &["address", "reactor"],
    &["descriptor", "time"],
    &["connection", "executor", "limits"],
    &["listener", "process"],
    &["proxy_protocol", "tls"],
    &["connect"],
    &["server", "service"],
    &["testing"],
    &["lib"],
    &["cli"],
    &["main"],
];

/// In lines.
pub(crate) const LONGEST_FILE: usize = 400;
pub(crate) const LONGEST_FUNCTION: usize = 60;

/// The services that may name them.
const KNOWS_SOCKETS: &[&str] = &["src/service/exec", "src/service/relay"];

/// Names of things beneath the halves, which a service may not use.
const NAMES_BENEATH: &[&str] = &[
    "AsFd",
    "AsRawFd",
    "BorrowedFd",
    "Listener",
    "Listeners",
    "MemoryListener",
    "OwnedFd",
    "RawFd",
    "SocketAddr",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixDatagram",
    "UnixListener",
    "UnixStream",
    "async_io",
    "async_net",
    "listener",
    "net",
    "rustix",
];

/// Ways to read a clock or to sleep.
const CLOCKS: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "Timer::",
    "async_io::Timer",
    "smol::Timer",
    "thread::sleep",
    "park_timeout",
    ".elapsed",
];

/// Ways to start a thread, and where that may be.
const THREADS: &[&str] = &["thread::Builder", "thread::spawn"];
const STARTS_THREADS: &[&str] = &[
    "src/blocking.rs",
    "src/cli/",
    "src/executor/",
    "src/signals.rs",
];

/// The signal of children, and the one file that may catch it.
const CHILD_SIGNAL: &str = "Signal::Child";
const CATCHES_CHILD_SIGNAL: &str = "src/process/orphans.rs";

/// Folders and files that may have `unsafe`.
const UNSAFE: &[&str] = &[
    "src/reactor/",
    "src/reactor.rs",
    "src/listener/inherited",
    "src/cli/inherited.rs",
    "src/process/before_exec.rs",
    "src/process/dispositions.rs",
    "src/process/start.rs",
    "src/process/syscall.rs",
];

/// Words that mark unfinished work.
const UNFINISHED: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
/// Macros of unfinished work, and paths outside the repository.
const UNFIT_TEXTS: &[&str] = &[
    "todo!",
    "unimplemented!",
    "shared/",
    "scratch/",
    "prototypes/",
    "/work/",
];

/// A module names only modules of lower layers: see `LAYERS`.
pub(crate) fn arrows(source: &Source) -> Vec<String> {
    let from = source.module();
    let Some(layer) = layer(from) else {
        return vec![format!(
            "{}: the module {from} has no layer: add it to LAYERS",
            source.path
        )];
    };
    let mut complaints = Vec::new();
    for path in paths(source) {
        // A name that is no module is one that src/lib.rs exports.
        let (to, below) = match self::layer(path.first) {
            Some(below) => (path.first, below),
            None => ("lib", self::layer("lib").unwrap_or(LAYERS.len())),
        };
        if from == to || below < layer {
            continue;
        }
        let help = match to {
            "lib" => "name the module that has it, not the root",
            _ if below == layer => "they are in one layer: move what both need further down",
            _ => "arrows go down only: pass it in, or move it down",
        };
        complaints.push(format!(
            "{}:{}: {from} (layer {layer}) names crate::{} (layer {below}); {help}",
            source.path, path.line, path.first,
        ));
    }
    complaints
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// A service never names a socket type, a descriptor or a listener, unless it starts children or
/// connects to targets.
pub(crate) fn sockets(source: &Source) -> Vec<String> {
    let exempt = KNOWS_SOCKETS
        .iter()
        .any(|place| source.path.starts_with(place));
    if source.module() != "service" || exempt {
        return Vec::new();
    }
    let named = NAMES_BENEATH.iter().flat_map(|name| found(source, name));
    named
        .map(|what| format!("{what} in a service, which knows halves only"))
        .collect()
}

/// Only `time` reads a clock or sleeps. (The reactor's tests need a first instant.)
pub(crate) fn clocks(source: &Source) -> Vec<String> {
    if source.module() == "time" || source.path.starts_with("src/reactor/tests/") {
        return Vec::new();
    }
    let read = CLOCKS.iter().flat_map(|clock| found(source, clock));
    read.map(|what| format!("{what} outside src/time: take a Clock"))
        .collect()
}

/// Threads belong to executors, the blocking pool, signals and the command.
pub(crate) fn threads(source: &Source) -> Vec<String> {
    let may = |place: &&str| source.path.starts_with(*place);
    if STARTS_THREADS.iter().any(may) || source.is_test() {
        return Vec::new();
    }
    let started = THREADS.iter().flat_map(|call| found(source, call));
    started
        .map(|what| format!("{what} outside {}", STARTS_THREADS.join(", ")))
        .collect()
}

/// SIGCHLD has no handler, unless a program asks for one as process 1.
pub(crate) fn child_signals(source: &Source) -> Vec<String> {
    if source.path == CATCHES_CHILD_SIGNAL {
        return Vec::new();
    }
    let caught = found(source, CHILD_SIGNAL);
    caught
        .iter()
        .map(|what| format!("{what} outside {CATCHES_CHILD_SIGNAL}"))
        .collect()
}

pub(crate) fn unsafety(source: &Source) -> Vec<String> {
    if UNSAFE.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let blocks = found(source, "unsafe");
    blocks
        .iter()
        .map(|what| format!("{what}, which is for {} only", UNSAFE.join(", ")))
        .collect()
}

/// Returns `path:line: what` for each place in the code with these tokens in a row.
fn found(source: &Source, what: &str) -> Vec<String> {
    let sought = Source::new("", what);
    let (sought, tokens) = (sought.tokens(), source.tokens());
    tokens
        .windows(sought.len())
        .filter(|window| window.iter().zip(&sought).all(|(a, b)| a.text == b.text))
        .map(|window| format!("{}:{}: {what}", source.path, window[0].line))
        .collect()
}

pub(crate) fn lengths(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    let lines = source.text.lines().count();
    if lines > LONGEST_FILE {
        complaints.push(format!(
            "{}: {lines} lines; at most {LONGEST_FILE}: split it",
            source.path
        ));
    }
    for function in source.functions() {
        if function.lines > LONGEST_FUNCTION {
            complaints.push(format!(
                "{}:{}: fn {} has {} lines; at most {LONGEST_FUNCTION}: split it",
                source.path, function.line, function.name, function.lines,
            ));
        }
    }
    complaints
}

/// A file begins with a sentence about its purpose.
pub(crate) fn opening(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    match first.strip_prefix("//! ") {
        Some(sentence) if !sentence.trim().is_empty() => Vec::new(),
        _ => vec![format!(
            "{}: the first line is not `//! what it is for`",
            source.path
        )],
    }
}

/// Comments and strings count, too.
pub(crate) fn leftovers(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (n, line) in source.text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        let unfinished = words.find(|word| UNFINISHED.contains(word));
        let unfit = UNFIT_TEXTS
            .iter()
            .find(|text| line.contains(**text))
            .copied();
        if let Some(word) = unfinished.or(unfit) {
            complaints.push(format!(
                "{}:{}: {word}: finish it, or file it",
                source.path,
                n + 1
            ));
        }
    }
    complaints
}
