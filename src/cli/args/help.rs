//! The help of a command, with the parts that several commands share.

use argh::{EarlyExit, FromArgs};

use super::{ServerOptions, grammar};
use crate::cli::service::Service;
use crate::cli::target_address::FORMS;

/// The place in a note for the forms of a target.
pub(super) const TARGET_FORMS_MARK: &str = "(forms of a target)";

/// Completes the help of a command: the services, the forms of a target, and the options and notes of every server.
pub(super) fn help(own: String, command: Option<&'static str>) -> String {
    let mut help = own;
    if command == Some("serve") {
        let rows = Service::all().map(|Service(row)| format!("\n  {:<18}{}", row.name, row.help));
        let services: String = rows.collect();
        let at = help.find(OPTIONS).unwrap_or(help.len());
        help.insert_str(at, &format!("\n\nServices:{services}"));
    }
    if let Some(at) = help.find(TARGET_FORMS_MARK) {
        let forms = FORMS.join("\n    ");
        help.replace_range(at..at + TARGET_FORMS_MARK.len(), &forms);
    }
    if command.and_then(grammar).is_some_and(|it| it.is_server) {
        add_server_options(&mut help);
    }
    help
}

const OPTIONS: &str = "\n\nOptions:\n";
const NOTES: &str = "\n\nNotes:\n";
/// The last row of the options.
const HELP_ROW: &str = "  -h, --help";

/// Adds the rows of the options before the last row, and the notes at the end.
fn add_server_options(help: &mut String) {
    let Err(EarlyExit { output: server, .. }) = ServerOptions::from_args(&[""], &["--help"]) else {
        return;
    };
    let (Some((_, rest)), Some(at)) = (server.split_once(OPTIONS), help.find(HELP_ROW)) else {
        return;
    };
    let (options, notes) = rest.split_once(NOTES).unwrap_or((rest, ""));
    let (rows, _) = options.split_once(HELP_ROW).unwrap_or((options, ""));
    help.insert_str(at, rows);
    if !help.contains(NOTES) {
        help.truncate(help.trim_end().len());
        help.push_str(NOTES);
    }
    help.push_str(notes);
}
