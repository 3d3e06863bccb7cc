//! INT, TERM and HUP end the command at once.

use std::io::Read;
use std::process::Stdio;
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};

use super::{File, HELLO};
use crate::connect::server;

#[test]
fn a_signal_ends_it_at_once_and_resets_cut_input() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let (to, sent) = mpsc::channel();
        let (address, serving) = server(move |mut client| {
            client.read_exact(&mut [0; 6]).expect("it sends");
            to.send(()).expect("the test waits");
            client.read_to_end(&mut Vec::new())
        });
        let file = File::new(HELLO);
        // The answer is waited for without an end.
        let mut command = file.command(&[&address, "--timeout", "0"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        sent.recv().expect("the input");
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(code));
        assert!(
            output.stdout.is_empty() && output.stderr.is_empty(),
            "{output:?}"
        );
        let end = serving.join().expect("it serves");
        assert!(end.is_err(), "the input is cut");
    }
}
