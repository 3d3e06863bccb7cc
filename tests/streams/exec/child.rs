//! The program of a child, its arguments and its variables.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use futures_lite::AsyncReadExt;
use halves::listener::memory;
use halves::proxy_protocol::{Header, ProxyProtocol, Version};
use halves::service::Exec;
use halves::{Connection, Endpoint, Peer, Server, bind};
use rustix::process::{getegid, geteuid};

use super::{served, sh};
use crate::support::harness::sockets::{self, Client, Family};
use crate::support::place;

/// Prints the variables of the connection.
pub(super) const VARIABLES: &str = "env | grep -E '^(PROTO|TCP|REMOTE|UNIX|SSL_[^C]|SSL_CI)'";

async fn variables(client: &Client) -> BTreeMap<String, String> {
    let (answer, end) = client.rest().await;
    end.expect("in order");
    parse(&String::from_utf8(answer).expect("text"))
}

pub(super) fn parse(lines: &str) -> BTreeMap<String, String> {
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

pub(super) fn expected<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    pairs.map(|(name, value)| (name.to_owned(), value)).into()
}

fn tcp(local: SocketAddr, remote: SocketAddr, number: usize) -> BTreeMap<String, String> {
    expected([
        ("PROTO", "TCP".into()),
        ("TCPLOCALIP", local.ip().to_string()),
        ("TCPLOCALPORT", local.port().to_string()),
        ("TCPREMOTEIP", remote.ip().to_string()),
        ("TCPREMOTEPORT", remote.port().to_string()),
        ("TCPCONNNUM", number.to_string()),
        ("REMOTE_ADDR", remote.ip().to_string()),
        ("REMOTE_PORT", remote.port().to_string()),
    ])
}

#[test]
fn variables_describe_a_tcp_connection() {
    sockets::run(Family::Tcp, async |world| {
        let script = format!("read line; {VARIABLES}");
        let (served, first) = served(&world, sh(&script)).await;
        let second = served.connect();
        let mut numbers = Vec::new();
        for client in [&first, &second] {
            client.send(b"\n");
        }
        // The first one is counted until it has ended.
        for client in [first, second] {
            let seen = variables(&client).await;
            let number: usize = seen["TCPCONNNUM"].parse().expect("a number");
            numbers.push(number);
            let [local, remote] = client.addresses();
            assert_eq!(seen, tcp(remote, local, number));
        }
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2]);
    });
}

#[test]
fn the_remote_address_is_that_of_the_real_client() {
    sockets::run(Family::Tcp, async |world| {
        let listeners = bind("127.0.0.1:0").await.expect("a port");
        let at = listeners.local_addrs().remove(0);
        let proxy =
            ProxyProtocol::new(Version::Any).trust("127.0.0.0/8".parse().expect("a network"));
        let handler = proxy.wrap(|c: Connection| sh(VARIABLES).serve(c));
        let serve = async move |ex: halves::Executor, server: Server| {
            server.serve(&ex, proxy.listen(listeners), handler).await
        };
        let served = world.serve_by(at, place::dir(), Server::default(), serve);
        let client = served.connect();
        let [real, to] = ["[2001:db8::7]:700", "[2001:db8::8]:80"];
        let real: SocketAddr = real.parse().expect("an address");
        let header = Header::new(real, to.parse::<SocketAddr>().expect("an address"));
        client.send(&header.to_v1());
        let [_, remote] = client.addresses();
        assert_eq!(variables(&client).await, tcp(remote, real, 1));
    });
}

#[test]
fn variables_describe_a_unix_socket() {
    sockets::run(Family::Unix, async |world| {
        let (served, client) = served(&world, sh(VARIABLES)).await;
        let seen = variables(&client).await;
        let path = served.handle.local_addrs()[0].to_string();
        let path = path.strip_prefix("unix:").expect("a path");
        let described = expected([
            ("PROTO", "UNIX".into()),
            ("UNIXLOCALPATH", path.into()),
            ("UNIXREMOTEUID", geteuid().as_raw().to_string()),
            ("UNIXREMOTEGID", getegid().as_raw().to_string()),
            ("UNIXREMOTEPID", std::process::id().to_string()),
        ]);
        assert_eq!(seen, described);
    });
}

/// Runs a program for a connection in memory. Returns its output.
fn output_of(exec: Exec) -> io::Result<String> {
    output_for(exec, Peer::default())
}

fn output_for(exec: Exec, peer: Peer) -> io::Result<String> {
    let (mut client, server) = memory::pair(1 << 16);
    smol::block_on(async {
        exec.serve(server.with_peer(peer)).await?;
        let mut output = String::new();
        client.reader.read_to_string(&mut output).await?;
        Ok(output)
    })
}

#[test]
fn a_connection_in_memory_has_no_variables() -> io::Result<()> {
    assert_eq!(output_of(sh(VARIABLES))?, "");
    Ok(())
}

#[test]
fn variables_can_be_added_and_removed() -> io::Result<()> {
    let exec = Exec::new("env")?;
    let exec = exec
        .env("A", "1")?
        .env("A", "2")?
        .env("=B", "3")?
        .env("TCPREMOTEIP", "x")?;
    let exec = exec.env("C", "1")?.env_remove("C").env_remove("PATH");
    let exec = exec.env_with(|peer| {
        let pair = |name: &str, value: String| (name.into(), value.into());
        vec![
            pair("D", peer.to_string()),
            pair("E", "zero\0byte".into()),
            pair("TCPREMOTEPORT", "replaced".into()),
        ]
    });
    let remote: SocketAddr = "192.0.2.1:5".parse().expect("an address");
    let peer = Peer::new(remote.into(), Endpoint::Memory);
    let output = output_for(exec.clone(), peer)?;
    let seen = parse(&output);
    assert!(
        output.contains("\n=B=3\n") || output.starts_with("=B=3\n"),
        "{output}"
    );
    assert_eq!(seen["A"], "2");
    assert_eq!(seen["D"], "192.0.2.1:5");
    assert_eq!(seen["TCPREMOTEIP"], "192.0.2.1");
    assert_eq!(seen["TCPREMOTEPORT"], "replaced");
    assert_eq!(output.matches("TCPREMOTEPORT=").count(), 1, "{output}");
    for name in ["C", "E", "PATH", "TCPLOCALIP"] {
        assert!(!seen.contains_key(name), "{name}: {output}");
    }
    let error = exec.env("A", "a\0b").expect_err("a zero byte");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    Ok(())
}

#[test]
fn a_program_gets_its_name_and_its_arguments() -> io::Result<()> {
    let exec = Exec::new("sh")?.args(["-c", "echo $0 $# \"$2\"", "name"])?;
    let exec = exec.args(["", "a b", "$HOME"])?;
    assert_eq!(output_of(exec)?, "name 3 a b\n");
    let cat = Exec::new("cat")?.args(["/proc/self/cmdline"])?;
    assert_eq!(output_of(cat)?, "cat\0/proc/self/cmdline\0");
    Ok(())
}

#[test]
fn a_script_without_an_interpreter_is_run_by_the_shell() -> io::Result<()> {
    let dir = place::dir();
    let path = dir.path().join("script");
    fs::write(&path, "echo $0 $1\n")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
    let output = output_of(Exec::new(&path)?.args(["argument"])?)?;
    assert_eq!(output, format!("{} argument\n", path.display()));
    Ok(())
}

#[test]
fn a_program_that_cannot_run_is_an_error_at_once() -> io::Result<()> {
    let dir = place::dir();
    let path = dir.path().join("file");
    fs::write(&path, "text")?;
    let error = |name: &std::path::Path| Exec::new(name).expect_err("it cannot run").to_string();
    let refused = format!("{}: Permission denied (os error 13)", path.display());
    assert_eq!(error(&path), refused);
    let folder = format!("{}: is a directory", dir.path().display());
    assert_eq!(error(dir.path()), folder);
    let missing = dir.path().join("missing");
    let not_there = format!(
        "{}: No such file or directory (os error 2)",
        missing.display()
    );
    assert_eq!(error(&missing), not_there);
    assert_eq!(
        error("no such program".as_ref()),
        "no such program: not found in PATH"
    );
    assert_eq!(error("".as_ref()), ": not found in PATH");
    assert_eq!(error("sh\0".as_ref()), "sh\0: not found in PATH");
    Ok(())
}
