//! `--json`: one object on standard error, for scripts.

use std::process::{Command, Output};

use super::ask;
use crate::common::{free_port, output_of, serve};
use crate::session::lacks;

/// The object, with its times and ports replaced by `N`.
fn object(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    let mut object = String::new();
    let mut rest = text.trim_end();
    while let Some(at) = rest.find([':']) {
        let (before, after) = rest.split_at(at + 1);
        object.push_str(before);
        let digits = after.len()
            - after
                .trim_start_matches(|c: char| "0123456789.".contains(c))
                .len();
        let number = &after[..digits];
        let is_time = number.contains('.') && !number.contains("..") && !number.starts_with("127");
        let is_port = digits > 3 && !number.contains('.');
        object.push_str(if is_time || is_port { "N" } else { number });
        rest = &after[digits..];
    }
    object + rest
}

#[test]
fn a_complete_connection_has_all_facts() {
    let server = serve(&["upper"]);
    let output = ask(&["--json", &server.at[0].to_string()], b"hello\n");
    assert_eq!(output.stdout, b"HELLO\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        object(&output),
        concat!(
            r#"{"address":"127.0.0.1:N","peer":"127.0.0.1:N","local":"127.0.0.1:N","#,
            r#""verdict":"complete","code":0,"error":null,"bytes_in":6,"bytes_out":6,"#,
            r#""ms":{"name":null,"connect":N,"tls":null,"first_byte":N,"total":N},"tls":null}"#
        )
    );
}

#[test]
fn a_name_has_a_time() {
    let server = serve(&["upper"]);
    let address = format!("localhost:{}", server.at[0].port());
    let object = object(&ask(&["--json", &address], b""));
    let times = r#""ms":{"name":N,"connect":N,"tls":null,"first_byte":null,"total":N}"#;
    assert!(object.contains(times), "{object}");
}

#[test]
fn a_failure_has_its_verdict_and_no_other_line() {
    let address = format!("127.0.0.1:{}", free_port());
    let output = ask(&["--json", &address], b"");
    assert_eq!(output.status.code(), Some(11));
    let object = object(&output);
    let verdict = r#""peer":null,"local":null,"verdict":"unreachable","code":11,"error":"cannot "#;
    assert!(object.contains(verdict), "{object}");
}

#[test]
fn python_reads_the_object() {
    let test = "python_reads_the_object";
    if lacks("python3", test) {
        return;
    }
    let server = serve(&["upper"]);
    let mut python = Command::new("python3");
    python.args([
        "-c",
        "import json, subprocess, sys\n\
         ran = subprocess.run(sys.argv[1:], input=b'hi', capture_output=True)\n\
         verdict = json.loads(ran.stderr)\n\
         assert ran.stdout == b'HI', ran\n\
         assert verdict['code'] == ran.returncode == 0, ran\n\
         assert verdict['bytes_in'] == 2 and verdict['ms']['total'] > 0, ran\n",
        env!("CARGO_BIN_EXE_halves"),
        "connect",
        "--json",
        &server.at[0].to_string(),
    ]);
    let output = output_of(&mut python);
    assert!(output.status.success(), "{output:?}");
}
