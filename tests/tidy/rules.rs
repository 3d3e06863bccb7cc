//! The rules. Each takes a source file and returns its complaints, a line each.

use crate::paths::paths;
use crate::source::Source;

/// The modules of the crate, the lowest first. A module may name those of lower layers; `main`
/// stands for src/main.rs, and `lib` for what src/lib.rs exports.
const LAYERS: &[&[&str]] = &[
    &[
        "error", "address", "blocking", "catch", "duration", "escape", "framing", "polling",
        "reactor", "reason", "shutdown", "signals", "spawn", "stats", "sync", "time", "waiting",
    ],
    &["connection", "descriptor"],
    &["limits", "listener", "process", "proxy_protocol", "tls"],
    &["server"],
    &["executor", "service"],
    &["cli", "lib", "main"],
];

/// Arrows within a layer, from and to. Anything else there is a reason to think again.
const BESIDE: &[(&str, &str)] = &[
    ("address", "duration"),
    ("address", "error"),
    ("cli", "lib"),
    ("duration", "error"),
    ("lib", "cli"),
    ("main", "cli"),
    ("main", "lib"),
    ("reactor", "catch"),
    ("reactor", "polling"),
    ("reactor", "sync"),
    ("reactor", "waiting"),
    ("shutdown", "signals"),
    ("stats", "reason"),
    ("time", "reactor"),
    ("waiting", "sync"),
];

/// In lines.
pub(crate) const LONGEST_FILE: usize = 400;
pub(crate) const LONGEST_FUNCTION: usize = 60;

/// What a service would have to name to know what is beneath its halves.
const BENEATH: &[&str] = &[
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
    "Timer",
    "thread::sleep",
    "park_timeout",
    ".elapsed",
];

/// Where `unsafe` may be.
const UNSAFE: &[&str] = &[
    "src/reactor/",
    "src/reactor.rs",
    "src/listener/inherited",
    "src/cli/inherited.rs",
    "src/process/before_exec.rs",
];

/// Words of unfinished work.
const UNFINISHED: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
/// The same in code, and places that a reader of the repository does not have.
const UNFIT: &[&str] = &[
    "todo!",
    "unimplemented!",
    "shared/",
    "scratch/",
    "prototypes/",
    "/work/",
];

/// A module names only those below it: see `LAYERS`.
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
        let (to, below) =
            self::layer(path.first).map_or(("lib", LAYERS.len() - 1), |n| (path.first, n));
        if from == to || below < layer || BESIDE.contains(&(from, to)) {
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

/// A service never names a socket type, a descriptor or a listener.
pub(crate) fn sockets(source: &Source) -> Vec<String> {
    if source.module() != "service" {
        return Vec::new();
    }
    let named = BENEATH.iter().flat_map(|name| found(source, name));
    named
        .map(|what| format!("{what} in a service, which knows halves only"))
        .collect()
}

/// Nothing but `time` reads a clock or sleeps. (The reactor's tests have to begin at some instant.)
pub(crate) fn clocks(source: &Source) -> Vec<String> {
    if source.module() == "time" || source.path.starts_with("src/reactor/tests/") {
        return Vec::new();
    }
    let read = CLOCKS.iter().flat_map(|clock| found(source, clock));
    read.map(|what| format!("{what} outside src/time: take a Clock"))
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

/// `path:line: what` for each place in the code with these tokens in a row.
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

/// The first line of a file is a sentence about it.
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

/// In comments and strings, too.
pub(crate) fn leftovers(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (n, line) in source.text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_alphanumeric());
        let unfinished = words.find(|word| UNFINISHED.contains(word));
        let unfit = UNFIT.iter().find(|text| line.contains(**text)).copied();
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
