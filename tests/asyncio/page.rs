//! docs/asyncio.md: every row has an example, every call of asyncio's streams is there, and the
//! programs have the stated lengths.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::skip::skip;

const PAGE: &str = include_str!("../../docs/asyncio.md");

/// Prints the public names of asyncio's streams, as the page has them.
const NAMES: &str = "
from asyncio import *
from asyncio.base_events import Server
def names(of): return [of.__name__ + '.' + name for name in dir(of) if name[0] != '_']
print(*names(StreamReader), *names(StreamWriter), *names(Server))
";
/// Names that are not methods.
const FUNCTIONS: &[&str] = &[
    "start_server",
    "start_unix_server",
    "open_connection",
    "open_unix_connection",
    "wait_for",
    "timeout",
];

/// The cells of all tables, left and right.
fn rows() -> Vec<(&'static str, &'static str)> {
    let rows = PAGE.lines().filter_map(|line| {
        let row = line.strip_prefix("| `")?.strip_suffix(" |")?;
        row.split_once("` | ").or_else(|| row.split_once(" | "))
    });
    rows.collect()
}

/// The full names in a cell: `StreamReader.read`.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
}

fn blocks(language: &str) -> Vec<&'static str> {
    let fenced = PAGE.split("```").skip(1).step_by(2);
    let blocks = fenced.filter_map(|block| block.split_once('\n'));
    let blocks = blocks.filter(|(first, _)| first.starts_with(language));
    blocks.map(|(_, text)| text).collect()
}

fn code_lines(text: &str) -> usize {
    text.lines().filter(|line| !line.trim().is_empty()).count()
}

/// In one line.
fn flat(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ")
}

#[test]
fn every_row_of_the_page_has_an_example_or_a_reason() {
    let rows = rows();
    let examples = flat(&blocks("rust").concat());
    assert!(rows.len() > 55, "the tables were read: {}", rows.len());
    for (theirs, ours) in rows {
        if ours.starts_with("none: ") {
            continue;
        }
        let calls: Vec<_> = ours.split('`').skip(1).step_by(2).collect();
        assert!(!calls.is_empty(), "{theirs}: {ours}");
        // A name without arguments is not a call.
        let calls = calls.iter().filter(|call| call.contains(['(', '{']));
        for call in calls {
            assert!(examples.contains(*call), "{theirs}: {call}");
        }
    }
}

#[test]
fn every_call_of_asyncios_streams_is_in_the_page() {
    let theirs: BTreeSet<_> = rows()
        .into_iter()
        .flat_map(|(theirs, _)| names(theirs))
        .collect();
    for function in FUNCTIONS {
        assert!(theirs.contains(function), "{function}");
    }
    let this = "every_call_of_asyncios_streams_is_in_the_page";
    let Ok(output) = Command::new("python3").args(["-c", NAMES]).output() else {
        skip(this, "there is no python3");
        return;
    };
    assert!(output.status.success(), "{output:?}");
    let names = String::from_utf8(output.stdout).expect("names");
    assert!(names.split_whitespace().count() > 20, "{names}");
    for name in names.split_whitespace() {
        assert!(theirs.contains(name), "{name}");
    }
}

#[test]
fn our_program_has_no_more_lines_than_the_python_one() {
    let (python, rust) = (blocks("python")[0], blocks("rust")[0]);
    let example = include_str!("../../examples/from_asyncio.rs");
    let program = example.find("use ").expect("it begins");
    assert_eq!(rust, &example[program..], "the page has the example");
    let (theirs, ours) = (code_lines(python), code_lines(rust));
    assert!(ours <= theirs, "{ours}, and theirs are {theirs}");
    let sentence = format!("on asyncio's streams, {theirs} lines");
    assert!(PAGE.contains(&sentence), "{sentence}");
    assert!(PAGE.contains(&format!("in Rust, {ours} ")));
}
