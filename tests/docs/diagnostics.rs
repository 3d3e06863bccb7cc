//! Messages of the compiler for easy mistakes name the remedy.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::skip::skip;

/// A program in `tests/docs/mistakes`, and lines of the compiler's message for it.
const MISTAKES: &[(&str, &[&str])] = &[
    (
        "runtime",
        &[
            "`Runtime` does not run the tasks of a server",
            "not an executor",
            "wrap its spawn function: `spawn_fn(|task| drop(tokio::spawn(task)))`",
        ],
    ),
    (
        "address",
        &[
            "`&str` does not yield connections",
            "not a listener",
            "bind it: `bind(\"127.0.0.1:50007\").await?`",
        ],
    ),
    (
        "std_listener",
        &[
            "`TcpListener` does not yield connections",
            "take it over: `Listeners::try_from(OwnedFd::from(socket))?`",
        ],
    ),
    (
        "nothing_returned",
        &[
            "is not a handler of connections",
            "not a handler",
            "a handler takes one `Connection` and returns `io::Result<()>`",
        ],
    ),
    (
        "not_clone",
        &[
            "is not a handler of connections",
            "each connection gets a clone of the handler, so what it captures is `Clone`",
        ],
    ),
];

// Only single lines are compared, as the rest differs between compilers.
#[test]
fn each_mistake_is_answered_by_its_remedy() {
    let this = "each_mistake_is_answered_by_its_remedy";
    if Command::new(rustc()).arg("--version").output().is_err() {
        skip(this, "there is no rustc");
        return;
    }
    let library = library();
    for (name, lines) in MISTAKES {
        let output = check(name, &library);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name} compiles");
        for line in *lines {
            assert!(message.contains(line), "{name}: no '{line}' in:\n{message}");
        }
    }
    let output = check("remedied", &library);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
}

/// Checks a program against the built library.
fn check(name: &str, library: &Path) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docs/mistakes");
    let mut halves = OsString::from("halves=");
    halves.push(library);
    Command::new(rustc())
        .args(["--edition=2024", "--emit=metadata", "--out-dir"])
        .arg(dir.path())
        .arg("-L")
        .arg(library.parent().expect("its directory"))
        .arg("--extern")
        .arg(halves)
        .arg(program.join(name).with_extension("rs"))
        .output()
        .expect("rustc runs")
}

fn rustc() -> OsString {
    env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// The library that this test is linked with: the newest `.rlib` that is not newer than the test.
///
/// The test is linked after its library is built, and cargo builds the library again after each
/// change. So an even newer `.rlib`, of other features, has the same source. Checks and clippy
/// leave an `.rmeta` alone in the same folder, which may be of another compiler.
fn library() -> PathBuf {
    let test = env::current_exe().expect("the path of this program");
    let age = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let linked = age(&test);
    let built = fs::read_dir(test.parent().expect("its directory")).expect("target/debug/deps");
    built
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libhalves-") && name.ends_with(".rlib") && age(path) <= linked
        })
        .max_by_key(|path| age(path))
        .expect("cargo has built the library")
}
