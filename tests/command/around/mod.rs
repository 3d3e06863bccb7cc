//! The command between other programs, as it is used: in front of them, behind them, and started by
//! them.

mod balancers;
mod git;
mod http;
mod redis;
mod scaling;
mod ssh;

use std::net::SocketAddr;
use std::process::Command;

use crate::common::{Halves, halves};
use crate::proxied::{Balancer, free_address};
use crate::support::place;

/// Starts a server of the command, such as `proxy`, on a free port.
fn listening(args: &[&str]) -> Halves {
    let [command, rest @ ..] = args else {
        panic!("no command");
    };
    let words = [&[*command, "--listen", "127.0.0.1:0"], rest].concat();
    let mut server = Halves::start(&mut halves(&words));
    server.wait_until_listening(1);
    server
}

/// Starts `proxy` to a target, with these options.
fn proxy(target: SocketAddr, options: &[&str]) -> Halves {
    listening(&[&["proxy"], options, &[&target.to_string()]].concat())
}

/// Starts a server of others, which takes no port 0. `command` makes it from its address and a
/// directory for its files.
fn other(command: impl FnOnce(SocketAddr, &std::path::Path) -> Command) -> Balancer {
    let (dir, at) = (place::dir(), free_address());
    let mut command = command(at, dir.path());
    Balancer::start(&mut command, at, dir)
}
