//! The table in main.rs is true: its tests exist, and it has all tests of Python.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::skip::skip;

/// Prints the names of Python's tests, if the table is for this version.
const NAMES: &str = "
import re, sys
if not (3, 11) <= sys.version_info < (3, 14): sys.exit('a Python that the table is not for')
try: import test.test_asyncio.test_streams as tests
except ImportError: sys.exit('a Python without its tests')
with open(tests.__file__) as text: print(*re.findall(r'^    def test_(\\w+)', text.read(), re.M))
";

/// The cells of the table, without their backticks.
fn rows() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("main.rs").lines();
    let cells = lines.filter_map(|line| {
        let row = line.strip_prefix("//! | `")?.strip_suffix(" |")?;
        row.split_once("` | ")
    });
    cells
        .map(|(theirs, ours)| (theirs, ours.trim_matches('`')))
        .collect()
}

fn text(module: &str) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/asyncio");
    fs::read_to_string(here.join(module).with_extension("rs")).expect(module)
}

#[test]
fn every_test_that_the_table_names_is_there() {
    let rows = rows();
    let named = rows.iter().filter_map(|(_, ours)| ours.split_once("::"));
    let named: Vec<_> = named.filter(|(module, _)| !module.contains(' ')).collect();
    assert!(named.len() > 50, "the table was read: {}", named.len());
    for (module, name) in named {
        let test = format!("#[test]\nfn {name}()");
        let panics = format!("\")]\nfn {name}()");
        let text = text(module);
        assert!(text.contains(&test) || text.contains(&panics), "{name}");
    }
}

#[test]
fn every_test_of_python_is_in_the_table() {
    let this = "every_test_of_python_is_in_the_table";
    let Ok(output) = Command::new("python3").args(["-c", NAMES]).output() else {
        skip(this, "there is no python3");
        return;
    };
    if !output.status.success() {
        skip(this, String::from_utf8_lossy(&output.stderr).trim());
        return;
    }
    let theirs = String::from_utf8(output.stdout).expect("names");
    let theirs: BTreeSet<_> = theirs.split_whitespace().collect();
    assert!(theirs.len() >= 67, "{theirs:?}");
    let ours = rows().into_iter().map(|(theirs, _)| theirs).collect();
    let missing: Vec<_> = theirs.difference(&ours).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
