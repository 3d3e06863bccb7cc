//! Unix sockets: their paths, their files, and their lines in the log.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::common::{Halves, TIMEOUT, halves, has, run, run_to_end};
use crate::support::place;
use crate::support::skip::skip;

fn place() -> (TempDir, PathBuf) {
    let dir = place::dir();
    let path = dir.path().join("x.sock");
    (dir, path)
}

/// Starts `serve` on these addresses, and waits until it listens on each.
fn serve(addresses: &[&str]) -> Halves {
    let mut args = vec!["serve", "upper"];
    args.extend(addresses.iter().flat_map(|at| ["--listen", at]));
    let mut server = Halves::start(&mut halves(&args));
    for _ in addresses {
        server.wait_for_local();
    }
    server
}

fn connect(path: &Path) -> UnixStream {
    let client = UnixStream::connect(path).expect("it accepts");
    client.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    client
}

/// Sends `text`, and reads as many bytes back.
fn ask(client: &mut UnixStream, text: &str) -> String {
    client.write_all(text.as_bytes()).expect("it reads");
    let mut answer = vec![0; text.len()];
    client.read_exact(&mut answer).expect("it answers");
    String::from_utf8(answer).expect("text")
}

/// Asserts that a server answers at `path`, and removes it when it ends.
fn assert_served_and_removed(server: &mut Halves, path: &Path) {
    assert_eq!(ask(&mut connect(path), "hello"), "HELLO");
    server.end();
    assert!(!path.exists());
}

/// A server in its drain, which waits for this client.
fn draining(path: &Path) -> (Halves, UnixStream) {
    let mut server = serve(&[path.to_str().expect("text")]);
    let mut client = connect(path);
    assert_eq!(ask(&mut client, "hello"), "HELLO");
    server.signal(Signal::TERM);
    server.wait_for("draining connections=1");
    (server, client)
}

#[test]
fn a_path_is_served_and_removed_at_the_end() {
    let (_dir, path) = place();
    let at = path.to_str().expect("text");
    for listen in [at.to_owned(), format!("unix:{at}")] {
        let mut server = Halves::start(&mut halves(&["serve", "upper", "--listen", &listen]));
        assert_eq!(server.wait_for_local(), format!("unix:{at}"));
        let mut client = connect(&path);
        assert_eq!(ask(&mut client, "hello"), "HELLO");
        client.shutdown(Shutdown::Write).expect("it is there");
        assert_eq!(client.read_to_end(&mut Vec::new()).expect("an end"), 0);
        let closed = server.wait_for("closed conn=1 ");
        let (user, pid) = (rustix::process::geteuid(), std::process::id());
        let peer = format!("peer=unix uid={user} pid={pid} reason=eof in=5 out=5 ");
        assert!(closed.contains(&peer), "{closed}");
        server.end();
        assert!(!path.exists());
    }
}

#[test]
fn a_clients_name_cannot_disguise_its_line() {
    let (dir, path) = place();
    let mut server = serve(&[path.to_str().expect("text")]);
    let name = dir.path().join("a\n\u{202e}b\u{200b}");
    let client = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    );
    let client = client.expect("a socket");
    bind(&client, &SocketAddrUnix::new(&name).expect("a name")).expect("a new file");
    let at = SocketAddrUnix::new(&path).expect("a name");
    rustix::net::connect(&client, &at).expect("it accepts");
    drop(client);
    let closed = server.wait_for("closed conn=1 ");
    let name = format!(
        "peer=\"unix:{}/a\\n\\u202eb\\u200b\" ",
        dir.path().display()
    );
    assert!(closed.contains(&name), "{closed}");
    server.end();
}

#[test]
fn a_relative_path_is_in_the_directory_of_its_start() {
    let (dir, path) = place();
    let mut command = halves(&["serve", "upper", "--listen", "./x.sock"]);
    let mut server = Halves::start(command.current_dir(dir.path()));
    assert_eq!(server.wait_for_local(), "unix:./x.sock");
    assert_served_and_removed(&mut server, &path);
}

#[test]
fn mode_and_owner_come_after_the_path() {
    let (_dir, path) = place();
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    let at = format!("{},mode=0620,user={user},group={group}", path.display());
    let _server = serve(&[&at]);
    let file = fs::symlink_metadata(&path).expect("a file");
    assert!(file.file_type().is_socket());
    assert_eq!(file.mode() & 0o7777, 0o620);
}

#[test]
fn all_kinds_of_addresses_are_served_together() {
    let (_dir, path) = place();
    let name = format!("@halves-command-{}", std::process::id());
    let at = [path.to_str().expect("text"), &name, "127.0.0.1:0"];
    let mut args = vec!["serve", "upper"];
    args.extend(at.iter().flat_map(|at| ["--listen", at]));
    let mut server = Halves::start(&mut halves(&args));
    assert_eq!(server.wait_for_local(), format!("unix:{}", path.display()));
    assert_eq!(server.wait_for_local(), name);
    server.wait_until_listening(1);
    assert_eq!(ask(&mut connect(&path), "by path"), "BY PATH");
    assert_eq!(server.client().ask("by port"), "BY PORT");
    let socket = smol::block_on(async {
        use futures_lite::{AsyncReadExt, AsyncWriteExt};
        let mut client = halves::connect(&*name).await?;
        client.writer.write_all(b"by name").await?;
        let mut answer = [0; 7];
        client.reader.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer)
    });
    assert_eq!(&socket.expect("it answers"), b"BY NAME");
    server.wait_for("closed conn=3 ");
    server.end();
}

#[test]
fn a_second_server_does_not_disturb_the_first() {
    let (_dir, path) = place();
    let at = path.to_str().expect("text");
    let mut server = serve(&[at]);
    let output = run(&["serve", "upper", "--listen", at]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).expect("text");
    let problem = "it is in use: choose another path, or end the server that has it";
    assert_eq!(
        message,
        format!("halves: cannot listen on unix:{at}: {problem}\n")
    );
    assert_eq!(ask(&mut connect(&path), "hello"), "HELLO");
    server.end();
}

#[test]
fn the_file_of_a_killed_server_is_replaced() {
    let (_dir, path) = place();
    let at = path.to_str().expect("text");
    let mut server = serve(&[at]);
    server.signal(Signal::KILL);
    server.wait();
    assert!(path.exists(), "it was not removed");
    let mut server = serve(&[at]);
    assert_served_and_removed(&mut server, &path);
}

#[test]
fn its_file_is_removed_before_the_drain_and_a_new_one_is_left_alone() {
    let (_dir, path) = place();
    let (mut server, mut client) = draining(&path);
    // The listener is closed before this line.
    let successor = UnixListener::bind(&path).expect("no peer is there");
    assert_eq!(ask(&mut client, "still"), "STILL");
    drop(client);
    assert_eq!(server.code(), Some(0));
    drop(UnixStream::connect(&path).expect("the successor is there"));
    successor.accept().expect("one has connected");
}

#[test]
fn a_forced_end_leaves_nothing() {
    let (_dir, path) = place();
    let (mut server, mut client) = draining(&path);
    server.signal(Signal::INT);
    assert_eq!(server.code(), Some(130));
    assert_eq!(client.read_to_end(&mut Vec::new()).expect("an end"), 0);
    assert!(!path.exists());
}

#[test]
fn when_one_address_fails_the_others_are_released() {
    let (_dir, path) = place();
    let at = path.to_str().expect("text");
    let output = run(&["serve", "upper", "--listen", at, "--listen", "192.0.2.1:7"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!path.exists());
}

#[test]
fn the_hint_can_be_pasted_into_a_shell() {
    if !has("socat") {
        return skip("unix_hint_can_be_pasted_into_a_shell", "there is no socat");
    }
    let (_dir, path) = place();
    let name = format!("@halves-hint-{}", std::process::id());
    // Without characters that a shell interprets.
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-@".contains(c);
    for at in [path.to_str().expect("text"), &name] {
        if !at.chars().all(plain) {
            return skip("unix_hint_can_be_pasted_into_a_shell", "an odd directory");
        }
        let mut server = serve(&[at]);
        let hint = server.wait_for("  echo hello | socat - ");
        let output = Command::new("sh").args(["-c", &hint]).output();
        assert_eq!(output.expect("a shell").stdout, b"HELLO\n");
        server.wait_for("closed conn=1 ");
    }
}

/// Clients of other programs, which end their side and wait for the answer.
#[test]
fn socat_and_ncat_are_answered() {
    let (_dir, path) = place();
    let at = path.to_str().expect("text");
    let mut server = serve(&[at]);
    let to = format!("UNIX-CONNECT:{at}");
    for (program, args) in [("socat", vec!["-t10", "-", &to]), ("ncat", vec!["-U", at])] {
        if !has(program) {
            skip(
                "socat_and_ncat_are_answered",
                &format!("there is no {program}"),
            );
            continue;
        }
        let mut client = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut input = client.stdin.take().expect("a pipe");
        input.write_all(b"hello").expect("it reads");
        drop(input);
        let output = client.wait_with_output().expect("it ends");
        assert_eq!(output.stdout, b"HELLO", "{program}");
    }
    server.end();
}

/// The command with nothing mounted at `/proc`, if that is allowed.
fn without_proc(umask: &str, args: &[&str]) -> Option<Command> {
    let hide = format!("mount -t tmpfs none /proc && umask {umask}");
    [&[][..], &["--user", "--map-root-user"]]
        .iter()
        .find_map(|more| {
            let unshare = |then: &str| {
                let mut unshare = Command::new("unshare");
                unshare.args(*more).args(["--mount", "sh", "-c"]);
                unshare.arg(format!("{hide} && {then}"));
                unshare
            };
            let tried = unshare("true").stderr(Stdio::null()).status();
            tried.is_ok_and(|status| status.success()).then(|| {
                let mut command = unshare("exec \"$0\" \"$@\"");
                command.arg(env!("CARGO_BIN_EXE_halves")).args(args);
                command
            })
        })
}

#[test]
fn the_mode_is_set_without_proc() {
    let (dir, path) = place();
    let at = path.to_str().expect("text");
    let group = format!("group={}", rustix::process::getegid().as_raw());
    for (settings, mode) in [("mode=0660", 0o660), (&group, 0o751)] {
        let listen = format!("{at},{settings}");
        let args = ["serve", "upper", "--listen", &listen];
        let Some(mut command) = without_proc("026", &args) else {
            return skip(
                "the_mode_is_set_without_proc",
                "no file system can be mounted",
            );
        };
        let mut server = Halves::start(&mut command);
        server.wait_for_local();
        let file = fs::symlink_metadata(&path).expect("it is there");
        assert_eq!(file.mode() & 0o7777, mode, "{settings}");
        server.end();
    }
    // Where other users could replace it by a link to another file.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("ours");
    let listen = format!("{at},mode=0660");
    let args = ["serve", "upper", "--listen", &listen];
    let refused = run_to_end(&mut without_proc("022", &args).expect("as before"));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{message}");
    assert!(message.contains("there is no /proc"), "{message}");
    assert!(!path.exists(), "it is removed again");
}
