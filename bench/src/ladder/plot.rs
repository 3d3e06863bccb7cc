//! Draws the ladder in SVG: panels side by side with a bar for each step, for light and dark.

use super::steps::Kind;
use super::table::bytes;
use super::{Figures, LARGEST_LOAD, Outcome, StepResult};
use crate::report::grouped;
use std::fmt::Write;

/// Draws a panel with the echoes a second for each load on one core, and one with the memory.
pub fn svg(results: &[StepResult]) -> String {
    let height = TOP + results.len() as f64 * LINE + BOTTOM;
    let width = LABELS + PANELS.len() as f64 * PANEL + RIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n<title>The ladder: echoes a second and memory of each step</title>\n\
         {STYLE}<rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    for (result, y) in results.iter().zip(lines()) {
        text(&mut svg, "end", LABELS - 10.0, y, &result.step.server.name);
    }
    for (index, panel) in PANELS.iter().enumerate() {
        let x = LABELS + index as f64 * PANEL;
        panel.draw(&mut svg, x, results);
    }
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        let x = LABELS + index as f64 * LEGEND;
        let y = height - 22.0;
        bar(&mut svg, kind, x, y, 12.0, 12.0);
        text(&mut svg, "start", x + 18.0, y + 10.5, kind.title());
    }
    svg + "</svg>\n"
}

/// Returns the baselines of the lines of text.
fn lines() -> impl Iterator<Item = f64> {
    (0..).map(|line| TOP + f64::from(line) * LINE + 16.0)
}

struct Panel {
    title: &'static str,
    load: usize,
    value: fn(&Figures) -> f64,
    label: fn(f64) -> String,
    /// The start of a logarithmic axis; None for a linear axis.
    logarithmic_from: Option<f64>,
}

impl Panel {
    fn draw(&self, svg: &mut String, x: f64, results: &[StepResult]) {
        let values: Vec<_> = results.iter().map(|result| self.value(result)).collect();
        let max = values.iter().flatten().copied().fold(1.0, f64::max);
        text(svg, "start", x, TOP - 14.0, self.title);
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{x}\" x2=\"{x}\" y1=\"{TOP}\" y2=\"{}\"/>",
            TOP + results.len() as f64 * LINE
        );
        for ((result, value), y) in results.iter().zip(values).zip(lines()) {
            let (length, label) = match value {
                Some(value) => (self.share(value, max) * BAR, (self.label)(value)),
                None => (0.0, reason(&result.outcomes[self.load])),
            };
            bar(svg, result.step.kind, x, y - 13.0, length, LINE - 7.0);
            text(svg, "start", x + length + 5.0, y, &label);
        }
    }

    fn value(&self, result: &StepResult) -> Option<f64> {
        match &result.outcomes[self.load] {
            Outcome::Measured(figures) => Some((self.value)(figures)),
            _ => None,
        }
    }

    /// Returns the length of a bar as a share of the longest.
    fn share(&self, value: f64, max: f64) -> f64 {
        match self.logarithmic_from {
            None => value / max,
            Some(min) => ((value / min).ln() / (max / min).ln()).max(0.0),
        }
    }
}

fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::OneAtATime => "one at a time".into(),
        _ => "not measured".into(),
    }
}

fn bar(svg: &mut String, kind: Kind, x: f64, y: f64, width: f64, height: f64) {
    let class = kind.class();
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\"/>"
    );
}

fn text(svg: &mut String, anchor: &str, x: f64, y: f64, text: &str) {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
    );
}

const fn echoes(title: &'static str, load: usize) -> Panel {
    Panel {
        title,
        load,
        value: |figures| figures.echoes_per_second,
        label: |value| grouped(value, 0),
        logarithmic_from: None,
    }
}

const PANELS: [Panel; 4] = [
    echoes("echoes/s, 1 connection", 0),
    echoes("echoes/s, 50 connections", 1),
    echoes("echoes/s, 1,000 connections", LARGEST_LOAD),
    Panel {
        title: "memory per connection (log)",
        load: LARGEST_LOAD,
        value: |figures| figures.bytes_per_connection,
        label: bytes,
        logarithmic_from: Some(100.0),
    },
];

const STYLE: &str = "<style>\n\
    text { font: 12px system-ui, sans-serif; fill: #1f2328 }\n\
    .ground { fill: #ffffff } .axis { stroke: #8c959f }\n\
    .blocking { fill: #d1883a } .loop { fill: #5b8def } .library { fill: #2a9d6f } .python { fill: #9a8fb0 }\n\
    @media (prefers-color-scheme: dark) {\n\
    text { fill: #e6edf3 } .ground { fill: #0d1117 } .axis { stroke: #6e7681 }\n\
    }\n\
    </style>\n";

/// Sizes in pixels.
const TOP: f64 = 44.0;
const BOTTOM: f64 = 40.0;
const LINE: f64 = 24.0;
const LABELS: f64 = 150.0;
const PANEL: f64 = 220.0;
const BAR: f64 = 145.0;
const RIGHT: f64 = 10.0;
const LEGEND: f64 = 150.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ladder::steps::Step;
    use crate::servers::Server;

    #[test]
    fn a_picture_has_a_bar_for_each_figure_and_a_word_for_each_missing_one() {
        let step = |name| Step {
            server: Server::new(name, "./s", ""),
            kind: Kind::Blocking,
            one_at_a_time: true,
        };
        let (slow, other) = (step("a<b&c"), step("fast"));
        let figures = Figures {
            echoes_per_second: 1000.0,
            p99_us: 1.0,
            bytes_per_connection: 100.0,
            threads: 1.0,
            processes: 1.0,
        };
        let mut results = [StepResult::new(&slow), StepResult::new(&other)];
        results[0].outcomes[0] = Outcome::Measured(figures);
        results[0].outcomes[1] = Outcome::OneAtATime;
        results[1].outcomes[0] = Outcome::Measured(Figures {
            echoes_per_second: 2000.0,
            ..figures
        });
        let svg = svg(&results);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        for part in [
            ">a&lt;b&amp;c<",
            ">1,000<",
            ">2,000<",
            ">one at a time<",
            ">not measured<",
            "width=\"72.5\"",
            "width=\"145.0\"",
        ] {
            assert!(svg.contains(part), "{part} in\n{svg}");
        }
    }

    #[test]
    fn memory_has_a_logarithmic_axis() {
        let memory = &PANELS[3];
        assert_eq!(memory.share(100.0, 10_000.0), 0.0);
        assert!((memory.share(1000.0, 10_000.0) - 0.5).abs() < 1e-9);
        assert_eq!(memory.share(10_000.0, 10_000.0), 1.0);
        assert_eq!(memory.share(1.0, 10_000.0), 0.0);
    }
}
