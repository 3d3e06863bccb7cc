//! ARCHITECTURE.md against the sources: its map, its layers, and the tests and files that it names; and
//! the index of docs/decisions against its files.
//! Each rule returns its complaints, a line each.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::rules::LAYERS;
use crate::source::Source;

/// Compares the list of layers with `layers`, which has the lowest first.
fn layers(text: &str, layers: &[&[&str]]) -> Vec<String> {
    let listed: BTreeSet<_> = block(text, "The layers")
        .filter_map(|line| {
            let (layer, names) = line.trim().split_once(' ')?;
            Some((layer.parse::<usize>().ok()?, names))
        })
        .flat_map(|(layer, names)| names.split_whitespace().map(move |name| (layer, name)))
        .collect();
    let ruled: BTreeSet<_> = layers
        .iter()
        .enumerate()
        .flat_map(|(layer, names)| names.iter().map(move |name| (layer, *name)))
        .collect();
    let only = |here: &BTreeSet<_>, there: &BTreeSet<_>, place| {
        let only: Vec<(usize, &str)> = here.difference(there).copied().collect();
        only.into_iter()
            .map(move |(layer, name)| format!("layer {layer} has {name} in {place} only"))
            .collect::<Vec<_>>()
    };
    let mut complaints = only(&listed, &ruled, "ARCHITECTURE.md");
    complaints.extend(only(&ruled, &listed, "LAYERS"));
    complaints
}

/// Compares the map with the files of `src`. Files of tests need not be in it.
fn map(text: &str, sources: &[Source]) -> Vec<String> {
    let named = named(text);
    let stems: BTreeSet<_> = sources
        .iter()
        .filter(|source| !source.is_test())
        .map(|source| stem(&source.path))
        .collect();
    let unnamed = stems
        .iter()
        .filter(|stem| !named.contains(**stem))
        .map(|stem| format!("src/{stem} is not in the map of ARCHITECTURE.md"));
    let exists = |name: &String| {
        let below = format!("{name}/");
        stems
            .iter()
            .any(|stem| *stem == name || stem.starts_with(&below))
    };
    let stale = named
        .iter()
        .filter(|name| !exists(name))
        .map(|name| format!("src/{name} is in the map of ARCHITECTURE.md only"));
    unnamed.chain(stale).collect()
}

/// Finds each test and each path in backticks, and looks for them below `root` and in `sources`.
fn references(text: &str, root: &Path, sources: &[Source]) -> Vec<String> {
    let invariants = section(text, "The invariants");
    let functions: BTreeSet<_> = sources
        .iter()
        .flat_map(Source::functions)
        .map(|function| function.name)
        .collect();
    let tests = quoted(invariants)
        .filter(|name| name.contains('_') && name.chars().all(|c| c.is_lowercase() || c == '_'))
        .filter(|name| !functions.contains(name))
        .map(|name| format!("there is no test {name}, which ARCHITECTURE.md names"));
    let files = quoted(text)
        .filter(|path| is_path(path) && !root.join(path).exists())
        .map(|path| format!("there is no {path}, which ARCHITECTURE.md names"));
    tests.chain(files).collect()
}

/// Checks the parts of each decision, given by file name and text, and that the index has a line for each.
fn decisions(index: &str, files: &[(&str, &str)]) -> Vec<String> {
    let parts = ["Context", "Decision", "Measured", "Consequences"];
    let mut complaints = Vec::new();
    for (name, text) in files {
        let title = text.lines().next().unwrap_or_default();
        let title = title.split_once(". ").map_or("", |(_, title)| title);
        let line = format!("* [{}]({name}) {title}", &name[..4]);
        if title.is_empty() || !index.lines().any(|listed| listed.starts_with(&line)) {
            complaints.push(format!("the index has no line that begins with {line}"));
        }
        let missing = parts.iter().filter(|part| section(text, part).is_empty());
        complaints.extend(missing.map(|part| format!("{name} has no part {part}")));
    }
    let listed = index.lines().filter(|line| line.starts_with("* ")).count();
    if listed != files.len() {
        complaints.push(format!("{listed} lines for {} decisions", files.len()));
    }
    complaints
}

fn is_path(text: &str) -> bool {
    ["src/", "tests/", "docs/", "examples/"]
        .iter()
        .any(|folder| text.starts_with(folder))
}

/// The names of the map, by their paths below `src` without `.rs`. An entry of it is
/// `folder (about it): name, name (about it), name`, and goes on in lines that begin with a space.
fn named(text: &str) -> BTreeSet<String> {
    let lines = block(text, "The map").collect::<Vec<_>>().join("\n");
    let entries = lines.replace("\n ", " ");
    let mut names = BTreeSet::new();
    for entry in without_parentheses(&entries).lines() {
        let (folder, listed) = entry.split_once(':').unwrap_or((entry, ""));
        let folder = folder.trim().trim_start_matches("src").trim_matches('/');
        let listed = listed.split(',').map(str::trim);
        names.extend(listed.map(|name| format!("{folder}/{name}").trim_matches('/').to_owned()));
        names.insert(folder.to_owned());
    }
    names.remove("");
    names
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_usize;
    text.chars()
        .filter(|c| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect()
}

/// `server/state` for `src/server/state.rs` and for `src/server/state/mod.rs`.
fn stem(path: &str) -> &str {
    let path = path.strip_prefix("src/").unwrap_or(path);
    let path = path.strip_suffix(".rs").unwrap_or(path);
    path.strip_suffix("/mod").unwrap_or(path)
}

/// The text below a heading of the second level.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let after = text.split_once(&format!("## {heading}\n"));
    let after = after.map_or("", |(_, after)| after);
    after.split("\n## ").next().unwrap_or_default()
}

/// The lines of the first block of code in a section.
fn block<'a>(text: &'a str, heading: &str) -> impl Iterator<Item = &'a str> {
    let lines = section(text, heading).lines();
    lines
        .skip_while(|line| !line.starts_with("```"))
        .skip(1)
        .take_while(|line| !line.starts_with("```"))
}

/// Texts in backticks, outside blocks of code.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

#[test]
fn the_layers_are_those_of_the_architecture() {
    clean(&layers(&text(), LAYERS));
    let sources = Source::all("src");
    let modules: Vec<_> = sources.iter().map(Source::module).collect();
    for module in LAYERS.concat() {
        assert!(modules.contains(&module), "there is no module {module}");
    }
}

#[test]
fn a_wrong_list_of_layers_is_seen() {
    let list = |lines| format!("# A\n\n## The layers\n\n```text\n{lines}\n```\n\n## More\n");
    let rule: &[&[&str]] = &[&["error", "sync"], &["time"]];
    clean(&layers(&list(" 1  time\n 0  error  sync"), rule));
    for lines in [
        "",
        "1 time\n0 error",
        "1 time\n0 error sync new",
        "1 time sync\n0 error",
        "0 time\n1 error sync",
    ] {
        let complaints = layers(&list(lines), rule);
        assert!(!complaints.is_empty(), "no complaint of {lines}");
    }
    let elsewhere = list("1 time\n0 error sync").replace("The layers", "Others");
    assert!(!layers(&elsewhere, rule).is_empty());
}

#[test]
fn the_map_of_the_architecture_names_each_file() {
    clean(&map(&text(), &Source::all("src")));
}

#[test]
fn a_file_that_the_map_lacks_is_seen() {
    let sources = [
        "src/lib.rs",
        "src/time/mod.rs",
        "src/time/stamp.rs",
        "src/time/turns.rs",
        "src/time/tests/turns.rs",
    ]
    .map(|path| Source::new(path, ""));
    let written = |lines| format!("## The map\n\n```text\n{lines}\n```\n");
    for lines in [
        "src: lib\nsrc/time: stamp, turns",
        "src/: lib (the root)\nsrc/time (clocks, and\n  sleeps: all): stamp,\n  turns (one reading: a turn)",
        "src: lib, time, time/stamp, time/turns",
    ] {
        clean(&map(&written(lines), &sources));
    }
    for lines in [
        "src: lib\nsrc/time: stamp",
        "src: lib\nsrc/time: stamp (turns)",
        "src: lib\nsrc/time: stamp, turns, sleep",
        "src: lib, turns\nsrc/time: stamp",
        "src: lib\nsrc/time: stamp, turns\nsrc/clock:",
        "src/time: stamp, turns",
    ] {
        let complaints = map(&written(lines), &sources);
        assert!(!complaints.is_empty(), "no complaint of {lines}");
    }
}

#[test]
fn the_tests_and_files_that_the_architecture_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: Vec<_> = [Source::all("src"), Source::all("tests")]
        .into_iter()
        .flatten()
        .collect();
    clean(&references(&text(), root, &sources));
}

#[test]
fn a_name_of_no_test_or_file_is_seen() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = [Source::new("tests/a.rs", "fn it_holds() {}")];
    let complaints = |text: &str| references(text, root, &sources);
    clean(&complaints(
        "`no_test` is not in the section.\n## The invariants\n\n`it_holds`, in `tests/tidy/main.rs`\n",
    ));
    assert!(!complaints("## The invariants\n\n`it_does_not_hold`\n").is_empty());
    assert!(!complaints("See `src/nowhere.rs`.").is_empty());
}

#[test]
fn each_decision_is_whole_and_in_the_index() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/decisions");
    let entries = fs::read_dir(&folder).expect("the folder is there");
    let files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| !path.ends_with("README.md"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy();
            (
                name.into_owned(),
                fs::read_to_string(&path).expect("a text"),
            )
        })
        .collect();
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    let index = fs::read_to_string(folder.join("README.md")).expect("the index is there");
    clean(&decisions(&index, &files));
}

#[test]
fn a_decision_that_is_not_whole_or_not_in_the_index_is_seen() {
    let text = "# 0001. A\n\n## Context\n\nx\n\n## Decision\n\nx\n\n## Measured\n\nx\n\n\
                ## Consequences\n\nx\n";
    let index = "# Decisions\n\n* [0001](0001-a.md) A\n";
    clean(&decisions(index, &[("0001-a.md", text)]));
    for (index, text) in [
        ("", text.to_owned()),
        ("* [0001](0001-b.md) A\n", text.to_owned()),
        ("* [0001](0001-a.md) B\n", text.to_owned()),
        (index, text.replace("## Measured", "Measured")),
        (index, text.replace(". A", "")),
        (
            "* [0001](0001-a.md) A\n* [0002](0002-b.md) B\n",
            text.to_owned(),
        ),
    ] {
        let complaints = decisions(index, &[("0001-a.md", &text)]);
        assert!(!complaints.is_empty(), "no complaint of {index}{text}");
    }
}

/// The text of ARCHITECTURE.md.
fn text() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    fs::read_to_string(path).expect("the file is there")
}

#[track_caller]
fn clean(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
