//! The listeners, the settings and the connections of a server that is replaced.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use super::{Generations, Program, text};
use crate::common::{Client, halves, halves_after, stuck};
use crate::inherited::{listener, with};
use crate::support::place;

#[test]
fn a_new_process_takes_over_and_the_old_one_finishes_its_connections() {
    let mut server = Generations::start(&mut halves(&SERVE), 1);
    let at = server.first.at[0];
    let mut old = Client::new(at);
    assert_eq!(old.ask("before"), "BEFORE");
    let first = server.pid;
    assert_ne!(server.restart(), first);
    // Drained connections are ended by the service once they are quiet.
    assert_eq!(old.ask("after"), "AFTER");
    assert_eq!(Client::new(at).ask("new"), "NEW");
    assert_eq!(old.finish(), b"");
    let line = server.first.wait_for("ended ");
    assert_eq!(line, "ended finished=1 aborted=0");
    server.end();
    assert!(TcpStream::connect(at).is_err(), "the socket is closed");
}

const SERVE: [&str; 4] = ["serve", "upper", "--listen", "127.0.0.1:0"];

/// A drain delay would leave the service without a process that accepts.
#[test]
fn the_old_process_does_not_wait_for_its_drain_delay() {
    let delay = [&SERVE[..], &["--drain-delay", "1h"]].concat();
    let mut server = Generations::start(&mut halves(&delay), 1);
    server.restart();
    server.first.wait_for("ended ");
    server.restart();
    server.first.wait_for("ended ");
    // The last one has its delay, which a second signal ends.
    server.signal(Signal::TERM);
    server.first.wait_for("draining delay=");
    server.signal(Signal::TERM);
    assert_eq!(server.first.code(), Some(0));
}

#[test]
fn a_signal_to_the_old_process_cuts_its_connections() {
    let mut server = Generations::start(&mut halves(&SERVE), 1);
    let at = server.first.at[0];
    let _stuck = stuck(at);
    server.restart();
    server.first.wait_for("draining ");
    assert_eq!(Client::new(at).ask("new"), "NEW");
    server.first.signal(Signal::TERM);
    server.first.wait_for("closed conn=1 ");
    server.signal(Signal::TERM);
    assert_eq!(server.first.code(), Some(143), "{:#?}", server.first.log);
}

#[test]
fn the_file_of_a_unix_socket_changes_hands_as_it_is() {
    let dir = place::dir();
    let listen = ["--listen", "./socket,mode=0640", "--control", "./control"];
    let mut command = halves(&[&["serve", "upper"], &listen[..]].concat());
    let mut server = Generations::start(command.current_dir(&dir), 0);
    for _ in 0..2 {
        server.first.wait_for_local();
    }
    let files = || ["socket", "control"].map(|name| fs::metadata(dir.path().join(name)).ok());
    let files = || files().map(|file| file.map(|file| (file.ino(), file.mode())));
    let before = files();
    assert_eq!(before[0].map(|(_, mode)| mode & 0o777), Some(0o640));
    for _ in 0..3 {
        server.restart();
        assert_eq!(files(), before);
        let mut client = UnixStream::connect(dir.path().join("socket")).expect("it listens");
        client.write_all(b"hello").expect("it reads");
        let mut answer = [0; 5];
        client.read_exact(&mut answer).expect("it answers");
        assert_eq!(&answer, b"HELLO");
    }
    server.end();
    assert_eq!(fs::read_dir(&dir).expect("a directory").count(), 0);
}

#[test]
fn a_changed_configuration_adds_and_removes_addresses() {
    let program = Program::new();
    let config = program.dir.path().join("config");
    let (kept, gone) = (program.socket(), program.dir.path().join("gone"));
    let write = |text: String| fs::write(&config, text).expect("a file");
    write(format!(
        "listen 127.0.0.1:0\nlisten {}\nlisten {}\n",
        text(&kept),
        text(&gone)
    ));
    let args = ["serve", "upper", "--config", text(&config)];
    let mut server = Generations::start(&mut program.command(&args), 1);
    let at = server.first.at[0];
    server.first.wait_for_local();
    server.first.wait_for_local();
    write(format!(
        "listen {}\nlisten 127.0.0.1:0,keepalive=30s\nlisten 127.0.0.2:0\n",
        text(&kept)
    ));
    server.restart();
    let listening = server.wait_for_listeners(6);
    assert_eq!(listening.len(), 6, "{listening:#?}");
    assert!(
        listening[4].contains(&format!("local={at} ")),
        "{listening:#?}"
    );
    assert!(listening[5].contains("local=127.0.0.2:"), "{listening:#?}");
    assert_eq!(Client::new(at).ask("same"), "SAME");
    UnixStream::connect(&kept).expect("it is kept");
    // Only the new process answers there, once it has removed the file.
    let new = local_in(&listening[5]);
    assert_eq!(Client::new(new).ask("new"), "NEW");
    assert!(!gone.exists(), "no process listens there");
    server.end();
    assert!(!kept.exists());
}

fn local_in(line: &str) -> SocketAddr {
    let (_, rest) = line.split_once("local=").expect("an address");
    let local = rest.split(' ').next().expect("an address");
    local.parse().expect("an address")
}

/// One message has at most 253 descriptors, and the first process has raised its limit for them.
#[test]
fn hundreds_of_listeners_change_hands() {
    let listen = ["--listen", "127.0.0.1:0"].repeat(300);
    let args = [&["serve", "upper"], &listen[..]].concat();
    let mut server = Generations::start(&mut halves_after("ulimit -Sn 64", &args), 300);
    let before = server.first.at.clone();
    server.restart();
    let listening = server.wait_for_listeners(600);
    for (line, at) in listening[300..].iter().zip(&before) {
        assert!(line.contains(&format!("local={at} ")), "{line} {at}");
    }
    for at in [before[0], before[299]] {
        assert_eq!(Client::new(at).ask("hello"), "HELLO");
    }
    server.end();
}

/// They are shared with the service manager, and are not shut down.
#[test]
fn sockets_of_a_service_manager_change_hands() {
    let shell = "exec 3<&0 4<&1 0</dev/null 1>/dev/null &&
        export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web";
    let (web, other) = (listener(), listener());
    let at = [&web, &other].map(|listener| listener.local_addr().expect("an address"));
    let args = ["--listen=sd-listen:web", "--listen=fd:4"];
    let mut command = with(web.try_clone().expect("a socket"), shell, &args);
    command.stdout(std::os::fd::OwnedFd::from(
        other.try_clone().expect("a socket"),
    ));
    let mut server = Generations::start(&mut command, 2);
    assert_eq!(server.first.at, at);
    for _ in 0..2 {
        server.restart();
        for at in at {
            assert_eq!(Client::new(at).ask("hello"), "HELLO");
        }
    }
    server.end();
    for at in at {
        TcpStream::connect(at).expect("the service manager listens still");
    }
}

/// The soft limit of open files is that of the first process, which has raised its own.
#[test]
fn children_have_the_same_environment_and_limits() {
    let args = [
        "exec",
        "--listen",
        "127.0.0.1:0",
        "sh",
        "-c",
        "ulimit -Sn; env",
    ];
    let mut command = halves_after("ulimit -Sn 256", &args);
    let mut server = Generations::start(command.env("WATCHDOG_PID", "1"), 1);
    let at = server.first.at[0];
    let told = || String::from_utf8(Client::new(at).finish()).expect("text");
    let variables = |told: &str| {
        let lines = told
            .lines()
            .filter(|line| !line.starts_with("TCPREMOTEPORT="));
        let lines = lines.filter(|line| !line.starts_with("REMOTE_PORT="));
        let mut lines: Vec<_> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let before = variables(&told());
    assert!(before.contains(&"256".to_owned()), "{before:#?}");
    for _ in 0..2 {
        server.restart();
        assert_eq!(variables(&told()), before);
    }
    server.end();
}

#[test]
fn the_ready_descriptor_is_written_once() {
    let dir = place::dir();
    let file = dir.path().join("ready");
    let shell = format!("exec 3>>{}", text(&file));
    let args = [&SERVE[..], &["--ready-fd", "3"]].concat();
    let mut server = Generations::start(&mut halves_after(&shell, &args), 1);
    server.restart();
    server.end();
    assert_eq!(fs::read_to_string(&file).expect("a file"), "\n");
}

/// A package manager replaces the file, and a deployment the link.
#[test]
fn the_program_is_the_one_at_the_path_of_the_first_start() {
    let program = Program::new();
    let mut server = Generations::start(&mut program.command(&SERVE), 1);
    let at = server.first.at[0];
    let marker = program.dir.path().join("marker");
    let script = format!(
        "echo $0 >{}; exec {} \"$@\"",
        text(&marker),
        env!("CARGO_BIN_EXE_halves")
    );
    program.replace(&script);
    server.restart();
    let name = fs::read_to_string(&marker).expect("it has run");
    assert_eq!(name.trim_end(), text(&program.path));
    assert_eq!(Client::new(at).ask("hello"), "HELLO");
    server.end();
}

#[test]
fn the_new_process_answers_at_the_same_metrics_address() {
    let words = [
        "serve",
        "upper",
        "--listen=127.0.0.1:0",
        "--metrics=127.0.0.1:0",
    ];
    let mut server = Generations::start(&mut halves(&words), 2);
    let metrics = server.first.at[1];
    let pid = || {
        let request = b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let answer = String::from_utf8(Client::new(metrics).send(request)).expect("text");
        let (_, rest) = answer.split_once("\"pid\":").expect("a process");
        rest.split(',')
            .next()
            .expect("a number")
            .parse::<u32>()
            .expect("a number")
    };
    assert_eq!(pid(), server.pid);
    let successor = server.restart();
    assert_eq!(pid(), successor);
    server.end();
}
