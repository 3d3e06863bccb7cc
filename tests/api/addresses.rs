//! Addresses to listen on and to connect to, and the errors of those that cannot be used.

use std::io;
use std::net::{Ipv6Addr, TcpListener};
use std::path::PathBuf;
use std::thread;

use halves::{Listeners, bind, connect};
use smol::block_on;

use crate::support::place;
use crate::support::skip::skip;

fn port_of(listeners: &Listeners) -> u16 {
    let local = listeners.local_addrs()[0].socket_addr();
    local.expect("it is TCP").port()
}

/// The reason that an address cannot be listened on.
fn problem(address: &str) -> String {
    let error = block_on(bind(address)).expect_err(address).to_string();
    let prefix = format!("cannot listen on {address}: ");
    let problem = error.strip_prefix(&prefix);
    problem.unwrap_or_else(|| panic!("{error}")).to_owned()
}

fn has_v6(test: &str) -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !has {
        skip(test, "no IPv6");
    }
    has
}

#[test]
fn a_mapped_address_is_ipv4() -> io::Result<()> {
    let listeners = block_on(bind("[::ffff:127.0.0.1]:0"))?;
    let port = port_of(&listeners);
    assert_eq!(
        listeners.local_addrs()[0].to_string(),
        format!("127.0.0.1:{port}")
    );
    let connection = block_on(connect(format!("[::ffff:127.0.0.1]:{port}")))?;
    assert_eq!(connection.peer.endpoint(), listeners.local_addrs()[0]);
    Ok(())
}

#[test]
fn both_families_listen_on_every_interface_apart() -> io::Result<()> {
    if !has_v6("both_families_listen_on_every_interface_apart") {
        return Ok(());
    }
    let v4 = block_on(bind("0.0.0.0:0"))?;
    let port = port_of(&v4);
    assert_eq!(
        problem(&format!("[::]:{port}")),
        format!(
            "port {port} is in use over IPv4, which [::] takes as well: write [::]:{port},v6-only for \
             IPv6 alone, or choose another port"
        )
    );
    let v6 = block_on(bind(format!("[::]:{port},v6-only")))?;
    assert_eq!(port_of(&v6), port);
    drop(v4);
    let v4 = block_on(bind(format!("0.0.0.0:{port}")))?;
    assert_eq!(
        problem(&format!("[::]:{port}")),
        format!(
            "[::]:{port} is in use: choose another port (0 is a free one), or end what listens there"
        )
    );
    drop((v4, v6));
    Ok(())
}

#[test]
fn a_port_in_use_says_what_to_do() -> io::Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let at = taken.local_addr()?;
    assert_eq!(
        problem(&at.to_string()),
        format!("{at} is in use: choose another port (0 is a free one), or end what listens there")
    );
    Ok(())
}

#[test]
fn a_port_without_the_right_to_it_says_what_to_do() {
    let test = "a_port_without_the_right_to_it_says_what_to_do";
    let thread = thread::spawn(|| {
        if rustix::process::geteuid().is_root() {
            let user = rustix::fs::Uid::from_raw(12345);
            // It applies to this thread alone, as its capabilities do.
            rustix::thread::set_thread_res_uid(user, user, user).expect("root may");
        }
        block_on(bind("127.0.0.1:1")).err()
    });
    let Some(error) = thread.join().expect("no panic") else {
        return skip(test, "every port is free to all here");
    };
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(
        error.to_string(),
        "cannot listen on 127.0.0.1:1: no permission for port 1: choose a port from 1024, grant \
         CAP_NET_BIND_SERVICE, or let systemd listen (sd-listen)"
    );
}

#[test]
fn an_address_of_another_machine_is_named() {
    // For documentation (RFC 5737).
    assert_eq!(
        problem("203.0.113.77:0"),
        "203.0.113.77 is not an address of this machine"
    );
}

#[test]
fn a_link_local_address_needs_its_zone() {
    let needs = "a link-local address needs a zone, its interface, such as [fe80::1%eth0]:5";
    assert_eq!(problem("[fe80::1]:5"), needs);
    let error = block_on(connect("[fe80::1]:5")).expect_err("it has none");
    assert_eq!(
        error.to_string(),
        format!("cannot connect to [fe80::1]:5: {needs}")
    );
    assert_eq!(
        problem("[fe80::1%nosuch]:5"),
        "'nosuch' is not an interface of this machine"
    );
}

#[test]
fn an_error_of_a_unix_socket_names_the_file_in_its_way() -> io::Result<()> {
    let dir = place::dir();
    let dir = dir.path().display();
    assert_eq!(
        problem(&format!("unix:{dir}/none/x.sock")),
        format!("there is no directory {dir}/none")
    );
    let path = format!("unix:{dir}/x.sock");
    let _first = block_on(bind(&*path))?;
    assert_eq!(
        problem(&path),
        "it is in use: choose another path, or end the server that has it"
    );
    Ok(())
}

#[test]
fn an_address_is_also_taken_by_reference() -> io::Result<()> {
    let text = String::from("127.0.0.1:0");
    let listeners = block_on(bind(&text))?;
    block_on(connect(&listeners.local_addrs()[0].to_string()))?;
    let dir = place::dir();
    let path: PathBuf = dir.path().join("socket");
    let _listeners = block_on(bind(&path))?;
    block_on(connect(&path))?;
    Ok(())
}

#[test]
fn options_of_a_listener_are_refused_for_connecting() {
    for (address, problem) in [
        (
            "127.0.0.1:1,nagle",
            "keepalive, backlog, nagle, reuse-port and v6-only are for listening",
        ),
        (
            "unix:/x,mode=0600",
            "mode, user and group are for listening",
        ),
        ("sd-listen", "sd-listen is for listening"),
    ] {
        let error = block_on(connect(address)).expect_err(address);
        assert_eq!(
            error.to_string(),
            format!("cannot connect to {address}: {problem}")
        );
    }
}
