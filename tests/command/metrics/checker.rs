//! A strict reader of the texts of `/metrics`: it accepts only what the two forms allow, and panics
//! at anything else.

use std::collections::{BTreeMap, BTreeSet};

/// The samples of a text, by name and labels, as they are written.
pub(super) type Samples = BTreeMap<String, String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    OpenMetrics,
    Prometheus,
}

/// A family while its lines are read.
#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    has_help: bool,
    has_unit: bool,
    samples: Vec<Sample>,
}

struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    /// The value as it is written.
    text: String,
    value: f64,
}

/// Reads a text, and returns its samples.
pub(super) fn check(text: &str, form: Form) -> Samples {
    let text = text.strip_suffix('\n').expect("a line end");
    let mut lines: Vec<_> = text.split('\n').collect();
    if form == Form::OpenMetrics {
        assert_eq!(lines.pop(), Some("# EOF"));
    }
    let (mut names, mut samples) = (BTreeSet::new(), Samples::new());
    let mut family = Family::default();
    for line in lines {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family.end(form, &mut samples);
            family = Family::begin(rest);
            assert!(names.insert(family.name.clone()), "again: {line}");
        } else if let Some(rest) = line.strip_prefix("# ") {
            family.describe(rest, form);
        } else {
            family.samples.push(Sample::parse(line));
        }
    }
    family.end(form, &mut samples);
    samples
}

impl Family {
    fn begin(line: &str) -> Self {
        let (name, kind) = line.split_once(' ').expect("a type");
        assert!(is_name(name) && !name.contains(':'), "{name}");
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..Self::default()
        }
    }

    fn describe(&mut self, line: &str, form: Form) {
        assert!(self.samples.is_empty(), "after a sample: {line}");
        let (key, rest) = line.split_once(' ').expect("a key");
        let (name, text) = rest.split_once(' ').expect("a text");
        assert_eq!(name, self.name, "{line}");
        let seen = match key {
            "HELP" => &mut self.has_help,
            "UNIT" => {
                assert_eq!(form, Form::OpenMetrics);
                assert!(name.ends_with(&format!("_{text}")), "{line}");
                &mut self.has_unit
            }
            _ => panic!("{line}"),
        };
        assert!(!std::mem::replace(seen, true), "again: {line}");
    }

    fn end(&self, form: Form, all: &mut Samples) {
        if self.name.is_empty() {
            return assert!(self.samples.is_empty(), "a sample without a type");
        }
        assert!(self.has_help, "{} has no help", self.name);
        let named = |suffix: &str| format!("{}{suffix}", self.name);
        let names = match (self.kind.as_str(), form) {
            ("gauge", _) => vec![named("")],
            ("counter", Form::OpenMetrics) => vec![named("_total")],
            ("counter", Form::Prometheus) if self.name.ends_with("_total") => vec![named("")],
            ("info", Form::OpenMetrics) => vec![named("_info")],
            ("histogram", _) => vec![named("_bucket"), named("_sum"), named("_count")],
            (kind, _) => panic!("{} {kind}", self.name),
        };
        for sample in &self.samples {
            assert!(
                names.contains(&sample.name),
                "{} in {}",
                sample.name,
                self.name
            );
            let is_gauge = self.kind == "gauge";
            assert!(is_gauge || (sample.value >= 0.0 && sample.value.is_finite()));
            let former = all.insert(sample.key(), sample.text.clone());
            assert_eq!(former, None, "again: {}", sample.key());
        }
        if self.kind == "histogram" {
            self.check_histogram();
        }
    }

    fn check_histogram(&self) {
        let [buckets @ .., sum, count] = self.samples.as_slice() else {
            panic!("{}", self.name);
        };
        let suffixes = [&sum.name, &count.name].map(|name| &name[self.name.len()..]);
        assert_eq!(suffixes, ["_sum", "_count"]);
        assert!(sum.labels.is_empty() && count.labels.is_empty());
        let bounds: Vec<f64> = buckets.iter().map(Sample::bound).collect();
        assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        assert_eq!(bounds.last(), Some(&f64::INFINITY));
        let counts: Vec<f64> = buckets.iter().map(|bucket| bucket.value).collect();
        assert!(counts.is_sorted(), "{counts:?}");
        assert_eq!(counts.last(), Some(&count.value));
    }
}

impl Sample {
    /// Parses `name{label="value",...} number`.
    fn parse(line: &str) -> Self {
        let end = line.find(['{', ' ']).expect("a value");
        let (name, mut rest) = line.split_at(end);
        assert!(is_name(name), "{line}");
        let mut labels = Vec::new();
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner;
            loop {
                let (label, after) = rest.split_once("=\"").expect("a label");
                assert!(is_name(label) && !label.contains(':'), "{line}");
                let (value, after) = unescaped(after);
                labels.push((label.to_owned(), value));
                match after.strip_prefix(',') {
                    Some(further) => rest = further,
                    None => break rest = after.strip_prefix('}').expect("an end"),
                }
            }
        }
        let value = rest.strip_prefix(' ').expect("a space");
        let is_number = |c: char| c.is_ascii_digit() || ".e-".contains(c);
        assert!(value.chars().all(is_number), "{line}");
        labels.sort();
        assert!(
            labels.is_sorted_by(|a, b| a.0 < b.0),
            "a label twice: {line}"
        );
        Self {
            name: name.to_owned(),
            labels,
            text: value.to_owned(),
            value: value.parse().expect("a number"),
        }
    }

    fn key(&self) -> String {
        let labels = self
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let labels: Vec<_> = labels.collect();
        if labels.is_empty() {
            return self.name.clone();
        }
        format!("{}{{{}}}", self.name, labels.join(","))
    }

    /// The bound of a bucket, which is written as a floating-point number.
    fn bound(&self) -> f64 {
        let [(name, bound)] = self.labels.as_slice() else {
            panic!("{}", self.name);
        };
        assert_eq!(name, "le");
        assert!(bound == "+Inf" || bound.contains('.'), "{bound}");
        bound.parse().expect("a number")
    }
}

/// Reads the value of a label up to its quote, and returns the rest.
fn unescaped(text: &str) -> (String, &str) {
    let (mut value, mut chars) = (String::new(), text.chars());
    loop {
        match chars.next().expect("a quote") {
            '"' => return (value, chars.as_str()),
            '\\' => value.push(match chars.next() {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => panic!("an escape of {other:?}"),
            }),
            c => value.push(c),
        }
    }
}

fn is_name(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || "_:".contains(c);
    text.starts_with(first) && text.chars().all(|c| first(c) || c.is_ascii_digit())
}

#[test]
fn a_wrong_text_is_seen() {
    let good = "# TYPE a counter\n# HELP a b\na_total{c=\"d\\\\\"} 1\n# EOF\n";
    assert_eq!(check(good, Form::OpenMetrics)["a_total{c=d\\}"], "1");
    let histogram = "# TYPE h histogram\n# HELP h b\nh_bucket{le=\"1.0\"} 1\n\
         h_bucket{le=\"+Inf\"} 2\nh_sum 3.5\nh_count 2\n# EOF\n";
    assert_eq!(check(histogram, Form::OpenMetrics).len(), 4);
    for (text, from, to) in [
        (good, "# EOF\n", ""),
        (good, "# EOF\n", "# EOF"),
        (good, "# EOF\n", "# EOF\n\n"),
        (good, "# TYPE a counter\n", ""),
        (good, "# HELP a b\n", ""),
        (good, "# HELP a b\n", "# HELP a b\n# HELP a b\n"),
        (good, "# HELP a b\n", "# HELP a b\n# UNIT a seconds\n"),
        (good, "counter", "count"),
        (good, "a_total", "a"),
        (good, "a_total", "b_total"),
        (good, "\\\\", "\\d"),
        (good, "c=\"d\\\\\"", "c=\"d\",c=\"e\""),
        (good, "} 1", "} -1"),
        (good, "} 1", "} NaN"),
        (good, "} 1", "}  1"),
        (good, "} 1\n", "} 1\na_total{c=\"d\\\\\"} 1\n"),
        (good, "# EOF", "# TYPE a counter\n# HELP a b\n# EOF"),
        (histogram, "1.0", "1"),
        (histogram, "\"} 1", "\"} 3"),
        (histogram, "_count 2", "_count 3"),
        (histogram, "h_sum 3.5\n", ""),
        (histogram, "h_bucket{le=\"+Inf\"} 2\n", ""),
    ] {
        assert!(text.contains(from), "{from}");
        let wrong = text.replace(from, to);
        let checked = std::panic::catch_unwind(|| check(&wrong, Form::OpenMetrics));
        assert!(checked.is_err(), "{wrong}");
    }
}
