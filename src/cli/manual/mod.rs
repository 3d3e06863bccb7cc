//! `halves man`: the manual page, from the definitions of the help.

mod notes;

use argh::FlagInfo;
use roff::{Inline, Roff, bold, italic, roman};

use self::notes::{Part, parts};
use super::args::{Definition, definitions, names, value_name};
use super::service::Service;

/// Returns the page in the format of man(7).
pub(super) fn page() -> String {
    let (definitions, server_notes) = definitions();
    let (root, commands) = definitions.split_at(1);
    let version = format!("halves {}", env!("CARGO_PKG_VERSION"));
    let mut page = Roff::new();
    // Without a date, the page is the same for each build.
    page.control("TH", ["HALVES", "1", "\"\"", &version]);
    page.control("SH", ["NAME"]);
    page.text([roman("halves - serve any byte stream")]);
    page.control("SH", ["SYNOPSIS"]);
    for (n, command) in commands.iter().enumerate() {
        if n > 0 {
            page.control("br", []);
        }
        page.text([
            bold("halves"),
            roman(command.usage.trim_start_matches("halves")),
        ]);
    }
    for definition in root {
        page.control("SH", ["DESCRIPTION"]);
        paragraphs(&mut page, definition.summary);
        add_notes(&mut page, &definition.notes);
        options(&mut page, definition.own.iter());
    }
    for command in commands {
        section(&mut page, command);
    }
    page.control("SH", ["OPTIONS OF EVERY SERVER"]);
    page.text([roman("These are for serve, exec and proxy, and for check.")]);
    let server = commands.iter().find(|it| !it.shared.is_empty());
    options(
        &mut page,
        server.into_iter().flat_map(|it| it.shared.iter().copied()),
    );
    page.control("SH", ["NOTES ON EVERY SERVER"]);
    page.text([roman("These hold for serve, exec and proxy.")]);
    add_notes(&mut page, &server_notes);
    page.control("SH", ["SEE ALSO"]);
    page.text([
        bold("systemd.socket"),
        roman("(5), "),
        bold("tcpserver"),
        roman("(1)"),
    ]);
    page.render()
}

/// Adds the section of a command: its summary, arguments, options, notes and examples.
fn section(page: &mut Roff, command: &Definition) {
    page.control("SH", [&*format!("HALVES {}", command.name.to_uppercase())]);
    paragraphs(page, command.summary);
    for argument in command.positionals {
        page.control("TP", []);
        page.text([italic(argument.name.to_uppercase())]);
        page.text([roman(argument.description)]);
    }
    if command.name == "serve" {
        for Service(row) in Service::all() {
            page.control("TP", []);
            page.text([bold(row.name)]);
            page.text([roman(row.help)]);
        }
    }
    options(
        page,
        command.own.iter().filter(|flag| flag.long != "--help"),
    );
    add_notes(page, &command.notes);
    if command.examples.is_empty() {
        return;
    }
    page.control("SS", ["Examples"]);
    page.control("nf", []);
    for example in &command.examples {
        page.text([roman(example)]);
    }
    page.control("fi", []);
}

/// Adds an entry for each option.
fn options<'a>(page: &mut Roff, options: impl Iterator<Item = &'a FlagInfo<'static>>) {
    for flag in options {
        page.control("TP", []);
        let mut tag: Vec<Inline> = Vec::new();
        for name in names(flag) {
            if !tag.is_empty() {
                tag.push(roman(", "));
            }
            tag.push(bold(name));
        }
        if let Some(value) = value_name(flag) {
            tag.extend([roman(" "), italic(value.to_uppercase())]);
        }
        page.text(tag);
        page.text([roman(flag.description)]);
    }
}

fn add_notes(page: &mut Roff, notes: &[String]) {
    for part in notes.iter().flat_map(|note| parts(note)) {
        match part {
            Part::Paragraph(text) => {
                page.control("PP", []);
                page.text([roman(text)]);
            }
            Part::Row(term, description) => {
                page.control("TP", []);
                page.text([bold(term)]);
                page.text([roman(description)]);
            }
        }
    }
}

/// Adds the paragraphs of a text, which are separated by empty lines.
fn paragraphs(page: &mut Roff, text: &str) {
    for (n, paragraph) in text.split("\n\n").enumerate() {
        if n > 0 {
            page.control("PP", []);
        }
        page.text([roman(paragraph)]);
    }
}
