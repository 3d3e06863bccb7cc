//! Each exit code, with its cause.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use halves::testing::{Record, RecordEvent, Recorded};
use serde_json::{Value, json};
use std::time::Duration;

use super::{File, HELLO, same};
use crate::common::{free_port, run, serve};
use crate::connect::{complaint, reset, server};

#[test]
fn the_same_answer_is_0() {
    let server = serve(&["upper"]);
    let address = server.at[0].to_string();
    let line = same(&File::new(HELLO).replay(&[&address]));
    assert!(
        line.starts_with("same: 6 B sent, 6 B received in 0."),
        "{line}"
    );
    // The server of the record is asked again.
    same(&File::at(&address, HELLO).replay(&[]));
    let output = File::at(&address, HELLO).replay(&["-q"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
}

#[test]
fn another_answer_is_1_with_its_place() {
    let server = serve(&["echo"]);
    let output = File::new(HELLO).replay(&[&server.at[0].to_string()]);
    let line = complaint(&output, 1);
    let start = "the answer differs after 0 bytes (line 3 of the record, after 0.";
    let texts = "s): recorded \"HELLO\\n\", answered \"hello\\n\"";
    assert!(line.starts_with(start) && line.ends_with(texts), "{line}");
    assert!(output.stdout.is_empty());
}

/// Serves one client, and returns the line about its difference.
fn difference(
    events: &str,
    args: &[&str],
    serve: impl FnOnce(TcpStream) + Send + 'static,
) -> String {
    let (address, serving) = server(serve);
    let output = File::new(events).replay(&[&[&*address], args].concat());
    serving.join().expect("it serves");
    complaint(&output, 1)
}

#[test]
fn an_answer_that_ends_early_or_goes_on_is_1() {
    let line = difference(HELLO, &[], |mut client| {
        client.read_exact(&mut [0; 6]).expect("it sends");
        client.write_all(b"HEL").expect("it reads");
    });
    let end = "recorded \"HELLO\\n\", answered \"HEL\" and then the end";
    assert!(line.ends_with(end), "{line}");
    let line = difference(HELLO, &[], |mut client| {
        client.write_all(b"HELLO\nmore").expect("it reads");
        let _ = client.read_to_end(&mut Vec::new());
    });
    let end = "recorded \"HELLO\\n\" and then the end, answered \"HELLO\\nmore\"";
    assert!(line.ends_with(end), "{line}");
    let line = difference(HELLO, &[], |mut client| {
        client.read_exact(&mut [0; 6]).expect("it sends");
        reset(&client);
    });
    assert!(
        line.ends_with("recorded \"HELLO\\n\", answered a reset"),
        "{line}"
    );
}

#[test]
fn an_answer_that_does_not_come_is_1() {
    let events = "0 in \"hello\\n\"\n0.000120 out \"HELLO\\n\"\n";
    let line = difference(events, &["--timeout", "50ms"], |mut client| {
        let _ = client.read_to_end(&mut Vec::new());
    });
    let end = "recorded \"HELLO\\n\", answered nothing in 50ms";
    assert!(line.ends_with(end), "{line}");
}

#[test]
fn bad_usage_is_2() {
    let record = File::new(HELLO);
    for args in [
        &["h"][..],
        &["h:1", "--pace", "slow"],
        &["h:1", "--pace=0"],
        &["h:1", "--timeout=x"],
        &["h:1", "--bogus"],
        &["h:1", "h:2"],
        &["-"],
    ] {
        let output = record.replay(args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        let hint = "run 'halves replay --help' for the options\n";
        assert!(text.ends_with(hint), "{text}");
    }
}

#[test]
fn a_file_that_is_no_record_is_2_with_the_line() {
    let output = run(&["replay", "/nosuch.record", "h:1"]);
    let line = complaint(&output, 2);
    assert!(line.starts_with("/nosuch.record: No such file"), "{line}");
    for (events, problem) in [
        ("0 in \"a\"\n0 over\n", "line 3: \"over\" is not an event"),
        ("0 in \"a\"", "line 2: the line has no line end"),
        ("1 in \"a\"\n0 in end\n", "line 3: the time 0 is earlier"),
    ] {
        let file = File::new(events);
        let line = complaint(&file.replay(&["h:1"]), 2);
        let start = format!("{}: {problem}", file.path);
        assert!(line.starts_with(&start), "{line}");
    }
    let line = complaint(&File::new(HELLO).replay(&["h:1,tls,ca=/nosuch.pem"]), 2);
    assert!(line.starts_with("/nosuch.pem: "), "{line}");
}

#[test]
fn a_record_without_a_server_needs_an_address() {
    for (server, problem) in [
        (
            "",
            "no server to ask in 'server ': it is missing; add an ADDRESS",
        ),
        (
            "stdio",
            "standard input and output are not a server; add an ADDRESS",
        ),
        ("unknown", "; add an ADDRESS"),
    ] {
        let file = File::at(server, HELLO);
        let line = complaint(&file.replay(&[]), 2);
        let start = format!("{}: no server to ask in 'server {server}': ", file.path);
        assert!(
            line.starts_with(&start) && line.ends_with(problem),
            "{line}"
        );
    }
}

#[test]
fn a_server_that_is_not_there_has_the_codes_of_connect() {
    let file = File::new(HELLO);
    let address = format!("127.0.0.1:{}", free_port());
    let line = complaint(&file.replay(&[&address]), 11);
    let start = format!("cannot connect to {address}: Connection refused");
    assert!(line.starts_with(&start), "{line}");
    // The domain `invalid` has no names.
    let line = complaint(&file.replay(&["nosuch.invalid:80"]), 10);
    assert!(
        line.starts_with("cannot resolve nosuch.invalid:80: "),
        "{line}"
    );
    let line = complaint(&file.replay(&["/nosuch/x.sock"]), 11);
    assert!(line.contains("No such file or directory"), "{line}");
}

fn object(output: &std::process::Output) -> Value {
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).expect("an object")
}

#[test]
fn each_verdict_is_a_json_object() {
    let file = File::new(HELLO);
    let (upper, echo) = (serve(&["upper"]), serve(&["echo"]));
    let output = file.replay(&[&upper.at[0].to_string(), "--json"]);
    let mut facts = object(&output);
    assert_eq!(output.status.code(), Some(0));
    assert!(facts["ms"].take().is_f64());
    let same = json!({
        "file": file.path, "verdict": "same", "code": 0, "error": null, "offset": null, "line": null,
        "recorded": null, "answered": null, "sent": 6, "received": 6, "whole": true, "ms": null,
    });
    assert_eq!(facts, same);
    let output = file.replay(&[&echo.at[0].to_string(), "--json"]);
    let mut facts = object(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(facts["ms"].take().is_f64());
    let error = facts["error"].take();
    assert!(
        error
            .as_str()
            .is_some_and(|it| it.starts_with("the answer differs after 0 bytes"))
    );
    let differs = json!({
        "file": file.path, "verdict": "differs", "code": 1, "error": null, "offset": 0, "line": 3,
        "recorded": "\"HELLO\\n\"", "answered": "\"hello\\n\"", "sent": null, "received": null,
        "whole": null, "ms": null,
    });
    assert_eq!(facts, differs);
    let output = file.replay(&["nosuch.invalid:80", "--json"]);
    let facts = object(&output);
    assert_eq!(output.status.code(), Some(10));
    assert_eq!(
        (&facts["verdict"], &facts["code"]),
        (&json!("not_resolved"), &json!(10))
    );
    assert_eq!(facts["ms"], Value::Null);
}

#[test]
fn pauses_are_as_long_as_the_pace_says() {
    let server = serve(&["upper"]);
    let address = server.at[0].to_string();
    let hours =
        "0 in \"a\\n\"\n3600 in \"b\\n\"\n7200 in end\n7200 out \"A\\nB\\n\"\n7200 closed\n";
    for pace in ["fast", "100000000"] {
        same(&File::new(hours).replay(&[&address, "--pace", pace]));
    }
    let output = File::new("0 in \"a\"\n0.2 in end\n0.2 out \"A\"\n").replay(&[&address, "--json"]);
    let time = object(&output)["ms"].as_f64();
    assert!(time.is_some_and(|time| time >= 200.0), "{output:?}");
}

#[test]
fn a_record_that_is_cut_is_compared_so_far() {
    let server = serve(&["upper"]);
    let file = File::new("0 in \"hello\"\n0 out \"HE\"\n0 cut limit\n");
    let output = file.replay(&[&server.at[0].to_string()]);
    let line = String::from_utf8_lossy(&output.stdout);
    let start = "same as far as recorded: 5 B sent, 2 B received in ";
    assert!(line.starts_with(start), "{output:?}");
    let output = file.replay(&[&server.at[0].to_string(), "--json"]);
    assert_eq!(object(&output)["whole"], false);
}

/// More than all buffers on the way hold, both ways.
#[test]
fn a_large_record_is_sent_and_compared_at_once() {
    let server = serve(&["upper"]);
    let mut record = Record::default();
    let (input, answer) = (vec![b'x'; 8 << 20], vec![b'X'; 8 << 20]);
    for what in [
        Recorded::In(input),
        Recorded::InEnd,
        Recorded::Out(answer),
        Recorded::OutEnd,
        Recorded::Closed,
    ] {
        record.events.push(RecordEvent::new(Duration::ZERO, what));
    }
    let line = same(&File::of(&record.to_string()).replay(&[&server.at[0].to_string()]));
    assert!(
        line.starts_with("same: 8.0 MiB sent, 8.0 MiB received in "),
        "{line}"
    );
}

#[test]
fn a_reader_that_is_gone_is_141() {
    let server = serve(&["upper"]);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let file = File::new(HELLO);
    let mut command = file.command(&[&server.at[0].to_string()]);
    let status = command.stdin(Stdio::null()).stdout(writer).status();
    assert_eq!(status.expect("it starts").code(), Some(141));
}

#[test]
fn the_help_has_the_forms_and_the_exit_codes() {
    let output = run(&["replay", "--help"]);
    let help = String::from_utf8(output.stdout).expect("text");
    for part in [
        "Usage: halves replay FILE [ADDRESS] [OPTIONS]",
        "--pace",
        ",tls,ca=FILE",
        "1 it differs",
    ] {
        assert!(help.contains(part), "{help}");
    }
}
