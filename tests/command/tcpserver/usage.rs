//! Flags that are refused or have no effect.

use super::{ours, start};
use crate::common::{halves, output_of};

#[test]
fn rules_are_refused_with_a_hint() {
    for words in [
        &["-xrules.cdb", "0", "0", "cat"][..],
        &["-vX", "0", "0", "cat"],
    ] {
        let output = output_of(&mut ours(words));
        let message = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(100), "{message}");
        assert_eq!(
            message,
            "tcpserver: fatal: -x and -X are not supported: write the rules for halves exec --allow \
             and --deny\n"
        );
    }
}

#[test]
fn a_missing_program_or_variable_is_an_error_at_the_start() {
    let mut missing = ours(&["127.0.0.1", "0", "no-such-program"]);
    let output = output_of(&mut missing);
    let message = String::from_utf8(output.stderr).expect("text");
    let line = "tcpserver: fatal: unable to run no-such-program: file does not exist\n";
    assert_eq!((output.status.code(), &*message), (Some(111), line));

    let mut without = ours(&["-U", "127.0.0.1", "0", "cat"]);
    let output = output_of(without.env_remove("UID").env_remove("GID"));
    let message = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(100));
    let line = "tcpserver: option -U needs a number in $UID\n";
    assert!(message.starts_with(line), "{message}");
}

#[test]
fn ident_is_a_warning() {
    let mut server = start(ours(&["-1rHl0", "127.0.0.1", "0", "cat"]));
    assert_eq!(server.client().send(b"hello"), b"hello");
    server.end();
    let line = "tcpserver: warning: -r has no effect: there are no IDENT lookups";
    assert_eq!(server.log, [line]);
}

#[test]
fn help_is_on_standard_output() {
    for mut command in [ours(&["--help"]), halves(&["tcpserver", "--help"])] {
        let output = output_of(&mut command);
        let help = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.code(), Some(0));
        assert!(help.starts_with("Usage: halves tcpserver "), "{help}");
        for flag in "1bBcdDghHloOpPqQrRtuUvxX".chars() {
            assert!(help.contains(&format!("-{flag}")), "{flag}");
        }
        assert!(help.lines().all(|line| line.len() <= 100));
    }
}
