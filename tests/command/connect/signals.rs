//! INT, TERM and HUP end the command at once.

use std::io::{Read, Write};
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};

use super::{server, start};

#[test]
fn a_signal_ends_it_at_once_and_resets_cut_input() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let (address, serving) = server(|mut client| {
            client.write_all(b"hello").expect("sent");
            client.read_to_end(&mut Vec::new())
        });
        let mut child = start(&[&address]);
        let mut hello = [0; 5];
        let output = child.stdout.as_mut().expect("a pipe");
        output.read_exact(&mut hello).expect("it is connected");
        let input = child.stdin.take();
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(code));
        assert!(output.stderr.is_empty(), "{output:?}");
        let end = serving.join().expect("it serves");
        assert!(end.is_err(), "the input is cut");
        drop(input);
    }
}

/// The input is complete, so the connection is not reset.
#[test]
fn a_signal_after_the_input_leaves_an_end() {
    let (to, ended) = mpsc::channel();
    let (gone, is_gone) = mpsc::channel::<()>();
    let (address, serving) = server(move |mut client| {
        client.read_to_end(&mut Vec::new()).expect("the end");
        to.send(()).expect("the test waits");
        let _ = is_gone.recv();
        client.take_error().expect("a socket")
    });
    let mut child = start(&[&address]);
    drop(child.stdin.take());
    ended.recv().expect("the end");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
    drop(gone);
    let error = serving.join().expect("it serves");
    assert!(error.is_none(), "it is no reset: {error:?}");
}
