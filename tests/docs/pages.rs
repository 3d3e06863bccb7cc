//! The pages of the documentation: their links, and their length.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_link_of_a_page_leads_to_a_file_and_a_heading() {
    let pages = pages();
    assert!(pages.len() >= 15, "the pages are found: {pages:?}");
    for page in pages {
        let text = read(&page);
        for link in links(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let folder = root().join(&page).parent().expect("a folder").to_owned();
            let file = match file {
                "" => root().join(&page),
                file => folder.join(file),
            };
            // A package of the crate lacks the other members of the workspace.
            let lacks =
                |link_part, folder| link.contains(link_part) && !root().join(folder).exists();
            if lacks("bench/", "bench") || lacks("cluster/", "examples/cluster") {
                continue;
            }
            assert!(file.exists(), "{}: {link}", page.display());
            let found = heading.is_empty() || headings(&read(&file)).any(|h| h == heading);
            assert!(found, "{}: {link}", page.display());
        }
    }
}

#[test]
fn the_readme_links_to_every_page_of_the_documentation() {
    let readme = read("README.md");
    let linked: Vec<_> = links(&readme).collect();
    let there = pages();
    let wanted = there.iter().filter(|page| {
        page.parent()
            .is_some_and(|folder| folder == Path::new("docs"))
    });
    for page in wanted {
        let page = page.to_string_lossy();
        assert!(linked.contains(&&*page), "the README does not link {page}");
    }
}

#[test]
fn the_readme_has_at_most_a_thousand_words() {
    let words = read("README.md").split_whitespace().count();
    assert!(words <= 1000, "{words} words");
}

/// The Markdown files at the root, and those of the folders that have documentation.
fn pages() -> Vec<PathBuf> {
    let folders = [
        "",
        "docs",
        "docs/decisions",
        "examples",
        "examples/cluster",
        "examples/ladder",
    ];
    let entries = folders
        .iter()
        .filter_map(|folder| Some((folder, fs::read_dir(root().join(folder)).ok()?)))
        .flat_map(|(folder, entries)| entries.map(move |entry| (folder, entry)));
    let pages = entries.map(|(folder, entry)| {
        let name = entry.expect("an entry").file_name();
        Path::new(folder).join(name)
    });
    pages
        .filter(|page| page.extension().is_some_and(|end| end == "md"))
        .collect()
}

/// The links of a page to files and headings of the project.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let links = page
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    links.filter(|link| !link.contains("://"))
}

/// The anchors of a page's headings, as GitHub makes them.
fn headings(page: &str) -> impl Iterator<Item = String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|&c| c.is_alphanumeric() || " -_".contains(c));
        kept.collect::<String>().replace(' ', "-")
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
