//! The form of the text of `/metrics`, by the `Accept` field of a request.

/// A form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The text format 0.0.4 of Prometheus.
    Prometheus,
}

impl Form {
    /// Returns the form that is accepted with the higher quality. Without a field, or if neither is
    /// accepted, it is the one of Prometheus, which every reader takes.
    pub(super) fn accepted(accept: &str) -> Self {
        let open_metrics = quality(accept, is_open_metrics);
        // A range that names the type comes before one with a wildcard (RFC 9110, 12.5.1).
        let text = quality(accept, |range| range.is("text/plain"))
            .or_else(|| quality(accept, |range| range.is("text/*")))
            .or_else(|| quality(accept, |range| range.is("*/*")));
        match (open_metrics, text.unwrap_or_default()) {
            (Some(quality), text) if quality > 0.0 && quality >= text => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A media range: `type/subtype;name=value;q=0.5`.
struct Range<'a> {
    media_type: &'a str,
    parameters: &'a str,
}

impl<'a> Range<'a> {
    fn new(text: &'a str) -> Self {
        let (media_type, parameters) = text.split_once(';').unwrap_or((text, ""));
        Self {
            media_type: media_type.trim(),
            parameters,
        }
    }

    fn is(&self, media_type: &str) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type)
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        let mut parameters = self.parameters.split(';').filter_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            Some((name.trim(), value.trim().trim_matches('"')))
        });
        let found = parameters.find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// Returns the quality from 0 to 1. One that is no number is 0.
    fn quality(&self) -> f32 {
        let quality = self.parameter("q").unwrap_or("1").parse().unwrap_or(0.0);
        if (0.0..=1.0).contains(&quality) {
            quality
        } else {
            0.0
        }
    }
}

/// Returns true for version 1.0 of `OpenMetrics`, or any. 0.0.1 is a draft.
fn is_open_metrics(range: &Range<'_>) -> bool {
    let version = range.parameter("version");
    range.is("application/openmetrics-text") && matches!(version, None | Some("1.0.0" | "1.0"))
}

/// Returns the highest quality of the ranges for which `is_one` is true.
fn quality(accept: &str, is_one: impl Fn(&Range<'_>) -> bool) -> Option<f32> {
    let ranges = accept.split(',').map(Range::new);
    let qualities = ranges.filter(|range| is_one(range));
    qualities.map(|range| range.quality()).reduce(f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_higher_quality_is_chosen() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for accept in [
            prometheus_2,
            prometheus_3,
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=1.0.0; Q=0.001",
            "text/plain, application/openmetrics-text",
            "*/*, text/plain;q=0.5, application/openmetrics-text;q=0.6",
            "text/*;q=0.1, application/openmetrics-text;version=\"1.0.0\";q=0.2",
        ] {
            assert_eq!(Form::accepted(accept), Form::OpenMetrics, "{accept}");
        }
        for accept in [
            "",
            ",",
            ";;q=,,",
            "*/*",
            "application/json",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=nan",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;q=-1",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0.5, text/plain;q=0.6",
            "application/openmetrics-text;q=0.5, */*",
        ] {
            assert_eq!(Form::accepted(accept), Form::Prometheus, "{accept}");
        }
    }
}
