//! A test harness that runs each test in a new process of this program.

use std::env;
use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// The name of the test that this process runs. Programs that the test starts inherit it: a test
/// that starts this program again runs again there.
const TEST: &str = "HALVES_ISOLATED_TEST";

/// The name of a test, and its function.
pub(crate) type Test = (&'static str, fn() -> ExitCode);

/// Lists test functions by their paths. They return `()` or a `Result`, as those of `#[test]`.
macro_rules! tests {
    ($($(#[$attribute:meta])* $module:ident::$test:ident,)*) => {
        &[$(
            $(#[$attribute])*
            (concat!(stringify!($module), "::", stringify!($test)), || {
                std::process::Termination::report($module::$test())
            }),
        )*]
    };
}
pub(crate) use tests;

/// Runs the one test that the environment names, or a process for each test that the arguments
/// select.
pub(crate) fn main(tests: &[Test]) -> ExitCode {
    if let Ok(name) = env::var(TEST) {
        let test = tests.iter().find(|test| test.0 == name);
        let (_, run) = test.expect("a test of that name");
        return run();
    }
    let arguments: Vec<_> = env::args().skip(1).collect();
    let has = |option| arguments.iter().any(|argument| argument == option);
    let filters = || arguments.iter().filter(|word| !word.starts_with('-'));
    let selects = |name: &str| {
        let matches =
            |filter: &String| name == filter || !has("--exact") && name.contains(filter.as_str());
        !has("--ignored") && (filters().next().is_none() || filters().any(matches))
    };
    let selected: Vec<_> = tests.iter().map(|test| test.0).collect();
    let selected: Vec<_> = selected.into_iter().filter(|name| selects(name)).collect();
    if has("--list") {
        for name in selected {
            print(&format!(
                "{name}: test
"
            ));
        }
        return ExitCode::SUCCESS;
    }
    run_all(&selected, tests.len() - selected.len(), !has("--nocapture"))
}

/// Prints what libtest prints, so that its readers understand it.
fn run_all(names: &[&str], filtered_out: usize, capture: bool) -> ExitCode {
    let start = Instant::now();
    print(&format!("\nrunning {} tests\n", names.len()));
    let mut failed = 0;
    for name in names {
        print(&format!("test {name} ... "));
        match run(name, capture) {
            Ok(skipped) => print(&format!("ok\n{skipped}")),
            Err(output) => {
                print(&format!("FAILED\n{output}\n"));
                failed += 1;
            }
        }
    }
    let (result, passed) = (
        ["ok", "FAILED"][usize::from(failed > 0)],
        names.len() - failed,
    );
    print(&format!(
        "\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured; \
         {filtered_out} filtered out; finished in {:.2}s\n\n",
        start.elapsed().as_secs_f64(),
    ));
    ExitCode::from(u8::from(failed > 0))
}

/// Runs one test in a process of its own. Returns its lines about what it skipped,
/// or its output and status as an error.
fn run(name: &str, capture: bool) -> Result<String, String> {
    let mut command = Command::new(env::current_exe().expect("the path of this program"));
    command.env(TEST, name).stdin(Stdio::null());
    if !capture {
        command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
    }
    let output = command.output().expect("this program starts");
    let [stdout, stderr] = [output.stdout, output.stderr];
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    if !output.status.success() {
        return Err(format!("{stdout}{stderr}{}", output.status));
    }
    // `.ci/run` counts these lines.
    let lines = stderr.split_inclusive('\n');
    Ok(lines.filter(|line| line.starts_with("skipped: ")).collect())
}

fn print(text: &str) {
    let mut stdout = io::stdout();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    written.expect("standard output is open");
}
