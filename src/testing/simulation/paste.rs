//! The source of a test that repeats a failure.

use std::any::type_name;
use std::fmt::Write;
use std::time::Duration;

use super::{DEFAULT_POLL_LIMIT, DEFAULT_TIME_LIMIT, Faults, Simulation};

/// Returns the source of a test that runs `test` with this seed and these faults.
pub(super) fn source_of<T>(
    _test: &T,
    settings: &Simulation,
    seed: u64,
    faults: &[String],
) -> String {
    source(
        "Simulation::builder()",
        type_name::<T>(),
        settings,
        seed,
        faults,
    )
}

/// As [`source_of`], for an expression with the setters of a simulation, and the type of the test.
pub(in crate::testing) fn source(
    expression: &str,
    type_name: &str,
    settings: &Simulation,
    seed: u64,
    faults: &[String],
) -> String {
    let (function, test) = names(type_name);
    let mut text = format!(
        "#[test]\nfn {function}_fails_with_seed_{seed}() {{\n    {expression}\n        \
         .seed({seed})\n        .faults({})\n",
        settings.faults.source()
    );
    if settings.time_limit != DEFAULT_TIME_LIMIT {
        let limit = duration(settings.time_limit);
        let _ = writeln!(text, "        .time_limit({limit})");
    }
    if settings.poll_limit != DEFAULT_POLL_LIMIT {
        let _ = writeln!(text, "        .poll_limit({})", settings.poll_limit);
    }
    if faults.is_empty() {
        text.push_str("        .only::<String>([])\n");
    } else {
        text.push_str("        .only([\n");
        for fault in faults {
            let _ = writeln!(text, "            {fault:?},");
        }
        text.push_str("        ])\n");
    }
    let _ = writeln!(text, "        .run({test});\n}}");
    text
}

/// Returns the source of a duration.
pub(in crate::testing) fn duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    match (nanos % 1_000_000_000, nanos % 1_000_000) {
        _ if nanos == 0 => "Duration::ZERO".into(),
        (0, _) => format!("Duration::from_secs({})", time.as_secs()),
        (_, 0) => format!("Duration::from_millis({})", time.as_millis()),
        _ => format!("Duration::new({}, {})", time.as_secs(), time.subsec_nanos()),
    }
}

/// Returns the name of the function with this type, or around a closure with this type, and the test
/// itself.
fn names(type_name: &str) -> (&str, &str) {
    let path = type_name.trim_start_matches('&');
    let path = path.split('<').next().unwrap_or(path);
    let mut parts = path.rsplit("::");
    let last = parts.next().unwrap_or(path);
    if !last.starts_with('{') {
        return (last, last);
    }
    let function = parts.find(|part| !part.starts_with('{'));
    (function.unwrap_or("simulation"), "test")
}

impl Faults {
    /// Returns the shortest source of these faults.
    fn source(&self) -> String {
        let bases = [
            ("Faults::default()", Self::default()),
            ("Faults::all()", Self::all()),
            ("Faults::none()", Self::none()),
        ];
        let sources = bases.map(|(name, base)| format!("{name}{}", self.setters(&base)));
        let [first, ..] = &sources;
        let shortest = sources.iter().min_by_key(|source| source.len());
        shortest.unwrap_or(first).clone()
    }

    /// Returns the source of the setters with which `base` becomes these faults.
    fn setters(&self, base: &Self) -> String {
        let mut text = String::new();
        let mut set = |name: &str, value: String, before: String| {
            if value != before {
                let _ = write!(text, ".{name}({value})");
            }
        };
        let range = |faults: &Self| {
            let [start, end] = [faults.latency.start, faults.latency.end].map(duration);
            format!("{start}..{end}")
        };
        let bytes = |bytes: usize| match bytes {
            usize::MAX => "usize::MAX".into(),
            bytes => bytes.to_string(),
        };
        set("max_piece", bytes(self.max_piece), bytes(base.max_piece));
        set("buffer", bytes(self.buffer), bytes(base.buffer));
        set("latency", range(self), range(base));
        if let Some(bandwidth) = self.bandwidth {
            set("bandwidth", bandwidth.to_string(), String::new());
        }
        let stalls = [self.max_stall, base.max_stall].map(duration);
        for (name, share, before) in [
            ("pauses", self.pauses, base.pauses),
            ("stalls", self.stalls, base.stalls),
            ("resets", self.resets, base.resets),
            ("ends", self.ends, base.ends),
            ("vanishings", self.vanishings, base.vanishings),
            ("refusals", self.refusals, base.refusals),
            ("accept_errors", self.accept_errors, base.accept_errors),
        ] {
            set(name, format!("{share:?}"), format!("{before:?}"));
        }
        let [value, before] = stalls;
        set("max_stall", value, before);
        let offsets = [&self.offsets, &base.offsets].map(|bytes| format!("{bytes:?}"));
        let [value, before] = offsets;
        set("offsets", value, before);
        text
    }
}
