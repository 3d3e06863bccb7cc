//! The variables of a program.

use std::fs;
use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use rustix::process::{getgid, getpid, getuid};

use super::{args, exec, sh, variables};
use crate::common::{Client, Halves, TIMEOUT, halves, halves_after};
use crate::session::lacks;
use crate::support::place;
use crate::tls::Files;
use crate::tls::openssl::client;

/// The variables that describe a connection.
fn described(variables: &std::collections::BTreeMap<String, String>) -> Vec<(&str, &str)> {
    let prefixes = [
        "PROTO", "TCP", "UNIX", "REMOTE_", "SSL_P", "SSL_C", "SSL_T", "SSL_A",
    ];
    let is_one = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let pairs = variables.iter().filter(|(name, _)| is_one(name));
    let pairs = pairs.filter(|(name, _)| !name.starts_with("SSL_CERT_"));
    pairs.map(|(name, value)| (&**name, &**value)).collect()
}

#[test]
fn a_tcp_connection_is_described() {
    let mut server = exec(&[], &["env"]);
    let listening = server.at[0].port().to_string();
    let mut client = Client::from_source([127, 0, 0, 6], server.at[0]);
    let port = client
        .0
        .local_addr()
        .expect("an address")
        .port()
        .to_string();
    let variables = variables(&client.rest());
    assert_eq!(
        described(&variables),
        [
            ("PROTO", "TCP"),
            ("REMOTE_ADDR", "127.0.0.6"),
            ("REMOTE_PORT", &port),
            ("TCPCONNNUM", "1"),
            ("TCPLOCALIP", "127.0.0.1"),
            ("TCPLOCALPORT", &listening),
            ("TCPREMOTEIP", "127.0.0.6"),
            ("TCPREMOTEPORT", &port),
        ]
    );
    server.end();
}

#[test]
fn connections_of_a_source_are_counted() {
    let mut server = sh(&[], "echo $TCPCONNNUM; cat");
    let count = |client: &mut Client| {
        let mut count = [0; 2];
        client.0.read_exact(&mut count).expect("it starts");
        count[0]
    };
    let mut first = server.client();
    assert_eq!(count(&mut first), b'1');
    let mut second = server.client();
    assert_eq!(count(&mut second), b'2');
    let mut other = Client::from_source([127, 0, 0, 7], server.at[0]);
    assert_eq!(count(&mut other), b'1');
    drop((first, second, other));
    server.end();
}

#[test]
fn a_unix_connection_is_described() {
    let dir = place::dir();
    let path = dir.path().join("x.sock");
    let listen = path.to_str().expect("text");
    let mut server = Halves::start(&mut halves(&["exec", "--listen", listen, "env"]));
    server.wait_for_local();
    let mut client = UnixStream::connect(&path).expect("it accepts");
    client.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    let mut printed = Vec::new();
    client.read_to_end(&mut printed).expect("it answers");
    let pid = getpid().as_raw_nonzero().to_string();
    let (uid, gid) = (getuid().as_raw().to_string(), getgid().as_raw().to_string());
    assert_eq!(
        described(&variables(&printed)),
        [
            ("PROTO", "UNIX"),
            ("UNIXLOCALPATH", listen),
            ("UNIXREMOTEGID", &gid),
            ("UNIXREMOTEPID", &pid),
            ("UNIXREMOTEUID", &uid),
        ]
    );
    server.end();
}

#[test]
fn variables_for_the_server_are_not_passed_on() {
    let shell = "exec 3</dev/null && export LISTEN_FDS=1 LISTEN_PID=1 LISTEN_FDNAMES=x \
                 WATCHDOG_PID=1 WATCHDOG_USEC=1 NOTIFY_SOCKET=/no/such KEPT=1 TCPREMOTEHOST=old \
                 SSL_CIPHER=old UNIXREMOTEUID=0";
    let mut server = Halves::start(&mut halves_after(shell, &args(&["-q"], &["env"])));
    // The first line is about the socket of NOTIFY_SOCKET.
    let line = server.wait_for("notify_failed");
    assert!(line.contains("/no/such"), "{line}");
    server.end();

    let script = format!("{shell} NOTIFY_SOCKET=");
    let mut server = Halves::start(&mut halves_after(&script, &args(&[], &["env"])));
    server.wait_until_listening(1);
    let variables = variables(&server.client().rest());
    assert_eq!(variables.get("KEPT").map(String::as_str), Some("1"));
    for name in variables.keys() {
        let gone = [
            "LISTEN_",
            "WATCHDOG_",
            "NOTIFY_",
            "UNIX",
            "TCPREMOTEHOST",
            "SSL_CIPHER",
        ];
        assert!(!gone.iter().any(|gone| name.starts_with(gone)), "{name}");
    }
    server.end();
}

#[test]
fn the_client_of_a_proxy_header_is_described() {
    let options = ["--proxy-protocol=v1", "--trust-proxy=127.0.0.0/8"];
    let mut server = sh(&options, "read line; echo $line; env");
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4321 443\r\nhello\n";
    let answer = server.client().send(header);
    // Bytes after the header reach the program.
    assert!(answer.starts_with(b"hello\n"), "{answer:?}");
    let variables = variables(&answer);
    for (name, value) in [
        ("TCPREMOTEIP", "192.0.2.7"),
        ("TCPREMOTEPORT", "4321"),
        ("REMOTE_ADDR", "192.0.2.7"),
    ] {
        assert_eq!(
            variables.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
    let closed = server.wait_for("closed conn=1 peer=192.0.2.7:4321 ");
    assert!(closed.ends_with(" status=0"), "{closed}");
    server.end();
}

#[test]
fn a_program_behind_tls_has_pipes_and_the_facts_of_the_session() {
    if lacks(
        "openssl",
        "a_program_behind_tls_has_pipes_and_the_facts_of_the_session",
    ) {
        return;
    }
    let files = Files::new();
    let tls = files.options("server", &["localhost", "127.0.0.1"]);
    let options = [&tls.each_ref().map(String::as_str)[..], &["--tls-alpn=x/1"]].concat();
    let script = "readlink /proc/self/fd/0; read line; \
                  echo $PROTO $SSL_PROTOCOL $SSL_CIPHER $SSL_TLS_SNI_SERVERNAME $SSL_ALPN; cat";
    let mut server = sh(&options, script);
    let args = ["-servername", "localhost", "-alpn", "x/1", "-tls1_3"];
    let mut client = client(&files, &server, &args);
    client.wait_for("pipe:[");
    client.send("hello\n");
    client.wait_for("TCP TLSv1.3 TLS_AES_256_GCM_SHA384 localhost x/1\n");
    client.send("more\n");
    client.wait_for("more\n");
    client.send("Q\n");
    assert!(client.end().success(), "{}", client.text());
    let closed = server.wait_for("closed conn=1");
    assert!(closed.contains(" reason=eof "), "{closed}");
    server.end();
}

#[test]
fn an_argument_need_not_be_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let dir = place::dir();
    let name = OsStr::from_bytes(b"\xff.txt");
    fs::write(dir.path().join(name), "hello").expect("a file");
    let mut command = halves(&args(&[], &["cat"]));
    command.arg(name).current_dir(dir.path());
    let mut server = Halves::start(&mut command);
    server.wait_until_listening(1);
    let stream = TcpStream::connect(server.at[0]).expect("it accepts");
    stream.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(Client::within(stream).rest(), b"hello");
    server.end();
}
