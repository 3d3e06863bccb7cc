//! Several servers behind `HAProxy`, and what docs/scaling.md says of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::run;
use crate::proxied::free_address;
use crate::session::lacks;

#[test]
fn a_restart_of_all_servers_under_load_loses_no_request() {
    let name = "a_restart_of_all_servers_under_load_loses_no_request";
    let programs = ["haproxy", "bash", "timeout"];
    if programs.iter().any(|program| lacks(program, name)) {
        return;
    }
    // Takes about 5 seconds. At the timeout, the script still ends what it has started.
    let mut script = Command::new("timeout");
    script
        .args(["120", "bash"])
        .arg(root().join("examples/rolling/restart.sh"))
        .env("HALVES", env!("CARGO_BIN_EXE_halves"))
        // No other test uses this address, so its ports are free.
        .env("HOST", free_address().ip().to_string());
    let output = script.output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.starts_with("2 restarts: "), "{text}");
    assert!(text.contains(" answered, 0 lost, "), "{text}");
}

#[test]
fn the_configuration_of_haproxy_is_the_documented_one() {
    let config = read("examples/rolling/haproxy.cfg");
    let page = read("docs/scaling.md");
    let documented = between(&page, "```haproxy\n", "```");
    assert!(config.ends_with(documented), "{documented}");
}

#[test]
fn the_options_of_the_documented_pod_are_valid_and_leave_time_for_the_drain() {
    let page = read("docs/scaling.md");
    let pod = between(&page, "```yaml\n", "```");
    let args = between(pod, "args: [", "]").split(", ");
    let args: Vec<_> = args.map(|arg| arg.trim_matches('"')).collect();
    let output = run(&[&["check"], &args[..]].concat());
    assert!(output.status.success(), "{output:?}");

    let seconds = |option| {
        let index = args.iter().position(|arg| *arg == option);
        let value = args[index.expect("the option") + 1].trim_end_matches('s');
        value.parse::<u64>().expect("seconds")
    };
    let grace = between(pod, "terminationGracePeriodSeconds: ", "\n");
    let grace: u64 = grace.parse().expect("seconds");
    assert!(grace > seconds("--drain-delay") + seconds("--drain-timeout") + 1);
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).expect("the begin");
    rest.split_once(end).expect("the end").0
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("a file")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
