//! Writes families of metrics as text, in either form.

use std::borrow::Cow;
use std::fmt::{Debug, Write};

use super::accept::Form;

/// Units at the end of the name of a family.
const UNITS: [&str; 2] = ["bytes", "seconds"];

/// Labels of a sample, by name.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// A text of metrics. Each family is begun once, and its samples follow.
pub(super) struct Exposition {
    form: Form,
    text: String,
}

/// A family that was begun.
pub(super) struct Family<'a> {
    text: &'a mut String,
    /// The name of its samples.
    name: String,
}

impl Exposition {
    pub(super) fn new(form: Form) -> Self {
        Self {
            form,
            text: String::new(),
        }
    }

    /// Begins a family of counters. Its name is without `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, "_total", "counter", help)
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, "", "gauge", help)
    }

    /// Begins a family that has information in its labels. Its name is without `_info`.
    pub(super) fn info(&mut self, name: &str, help: &str) -> Family<'_> {
        let kind = match self.form {
            Form::OpenMetrics => "info",
            Form::Prometheus => "gauge",
        };
        self.family(name, "_info", kind, help)
    }

    /// Writes a histogram: each bound with the number of values up to it, the number of all, and
    /// their sum.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        help: &str,
        cumulative: impl Iterator<Item = (f64, u64)>,
        total: u64,
        sum: f64,
    ) {
        let mut family = self.family(name, "", "histogram", help);
        let bounds = cumulative.map(|(bound, count)| (format!("{bound:?}"), count));
        for (bound, count) in bounds.chain([("+Inf".to_owned(), total)]) {
            family.suffixed("_bucket", &[("le", &bound)], total.min(count));
        }
        family.suffixed("_sum", &[], sum);
        family.suffixed("_count", &[], total);
    }

    pub(super) fn finish(mut self) -> String {
        if self.form == Form::OpenMetrics {
            self.text += "# EOF\n";
        }
        self.text
    }

    /// In `OpenMetrics` a family has the name without the suffix of its samples, and a unit.
    fn family(&mut self, name: &str, suffix: &str, kind: &str, help: &str) -> Family<'_> {
        let sample = format!("{name}{suffix}");
        let family = match self.form {
            Form::OpenMetrics => name,
            Form::Prometheus => &sample,
        };
        let text = &mut self.text;
        text.extend(["# TYPE ", family, " ", kind, "\n"]);
        let unit = name.rsplit('_').next().filter(|unit| UNITS.contains(unit));
        if let (Form::OpenMetrics, Some(unit)) = (self.form, unit) {
            text.extend(["# UNIT ", family, " ", unit, "\n"]);
        }
        text.extend(["# HELP ", family, " ", help, "\n"]);
        Family { text, name: sample }
    }
}

impl Family<'_> {
    /// Writes a sample. A number is written as its [`Debug`] form: `1.0`, or `1` for an integer.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Debug) {
        self.suffixed("", labels, value);
    }

    fn suffixed(&mut self, suffix: &str, labels: Labels<'_>, value: impl Debug) {
        self.text.extend([&self.name, suffix]);
        for (n, (name, value)) in labels.iter().enumerate() {
            let before = if n == 0 { "{" } else { "," };
            self.text
                .extend([before, name, "=\"", &escaped(value), "\""]);
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        // A write to a string never fails.
        let _ = writeln!(self.text, " {value:?}");
    }
}

/// Escapes the value of a label.
fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return value.into();
    }
    let value = value.replace('\\', r"\\").replace('"', r#"\""#);
    value.replace('\n', r"\n").into()
}
