//! Restarts that the control socket asks for.

use std::process::Output;

use super::{Generations, Program, pid_in, text};
use crate::common::{Client, run};

#[test]
fn the_answer_is_the_new_process_or_the_problem() {
    let program = Program::new();
    let path = program.socket();
    let control = ["--control", text(&path)];
    let args = [&["serve", "upper", "--listen", "127.0.0.1:0"], &control[..]].concat();
    let mut server = Generations::start(&mut program.command(&args), 1);
    server.first.wait_for_local();
    let restart = || run(&["ctl", text(&path), "restart"]);
    let printed = |output: Output| String::from_utf8(output.stdout).expect("text");
    for _ in 0..2 {
        let answer = printed(restart());
        server.pid = pid_in(&server.first.wait_for("restarted "));
        assert_eq!(answer, format!("restarted {}\n", server.pid));
        assert_eq!(Client::new(server.first.at[0]).ask("hello"), "HELLO");
    }
    program.replace("exit 1");
    let refused = restart();
    assert_eq!(refused.status.code(), Some(1));
    let problem = String::from_utf8(refused.stderr).expect("text");
    assert!(
        problem.contains("the new process ended: exit status: 1"),
        "{problem}"
    );
    server.end();
    assert!(!path.exists(), "the last process removes its file");
}
