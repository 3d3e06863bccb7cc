//! The answers of a control socket as text for people.

use halves::escape::OneLine;
use serde_json::Value;

use super::table::table;
use crate::cli::admin::{ConnectionRow, StatsRow};
use crate::cli::units::{size, time};

/// Returns the problem, if the answer is an error.
pub(super) fn problem(answer: &[String]) -> Option<String> {
    let [line] = answer else { return None };
    let object: Value = serde_json::from_str(line).ok()?;
    object.get("error")?.as_str().map(str::to_owned)
}

/// Returns an answer as text: a table of connections, and facts a line each.
pub(super) fn text(answer: &[String]) -> String {
    let (rows, others) = split(answer);
    let mut text: String = others.iter().map(|line| object(line)).collect();
    if others.is_empty() || !rows.is_empty() {
        text.push_str(&lines(table(&rows, usize::MAX)));
    }
    text
}

/// Splits an answer into its connections and its other lines.
pub(super) fn split(answer: &[String]) -> (Vec<ConnectionRow>, Vec<&str>) {
    let (mut rows, mut others) = (Vec::new(), Vec::new());
    for line in answer {
        match serde_json::from_str(line) {
            Ok(row) => rows.push(row),
            Err(_) => others.push(&**line),
        }
    }
    (rows, others)
}

/// Returns statistics, or the fields of any other object.
fn object(line: &str) -> String {
    if let Ok(stats) = serde_json::from_str::<StatsRow>(line) {
        return statistics(&stats);
    }
    match serde_json::from_str(line) {
        Ok(Value::Object(fields)) => {
            let known = fields.iter().filter(|(_, value)| !value.is_null());
            let facts = known.map(|(key, value)| format!("{key} {}", OneLine(plain(value))));
            lines(facts)
        }
        _ => format!("{}\n", OneLine(line)),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        other => other.to_string(),
    }
}

fn statistics(stats: &StatsRow) -> String {
    let others = format!(
        "accept errors {}, limits reached {}, unsent {}",
        stats.accept_errors,
        stats.limit_episodes,
        size(stats.unsent)
    );
    let listeners = stats.listeners.iter().map(|listener| {
        format!(
            "listener {}: open {}, accepted {}, in {}, out {}",
            OneLine(&listener.local),
            listener.open,
            listener.accepted,
            size(listener.bytes_in),
            size(listener.bytes_out)
        )
    });
    lines(
        [head(stats), counts(stats), others]
            .into_iter()
            .chain(listeners),
    )
}

/// Joins lines, each with its end.
pub(super) fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines
        .into_iter()
        .flat_map(|line| [line, "\n".to_owned()])
        .collect()
}

/// Returns the line about the process.
pub(super) fn head(stats: &StatsRow) -> String {
    format!(
        "halves {} {}, pid {}, up {}, {}",
        stats.version,
        stats.service,
        stats.pid,
        time(stats.uptime_ms),
        stats.phase
    )
}

/// Returns the line about connections and bytes.
pub(super) fn counts(stats: &StatsRow) -> String {
    let ended = stats.ended.iter();
    let ended: Vec<_> = ended
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    let ended = match &ended[..] {
        [] => "none".to_owned(),
        ended => ended.join(", "),
    };
    format!(
        "open {}, accepted {}, in {}, out {}; ended: {ended}",
        stats.open,
        stats.accepted,
        size(stats.bytes_in),
        size(stats.bytes_out)
    )
}
