//! `halves proxy`: a relay to targets.

mod failing;
mod layered;
mod relaying;

use crate::common::{Halves, halves};

/// Starts `proxy` to these targets on a free port, with these options.
fn proxy(options: &[&str], targets: &[&str]) -> Halves {
    let listen = ["proxy", "--listen", "127.0.0.1:0"];
    let mut server = Halves::start(&mut halves(&[&listen, options, targets].concat()));
    server.wait_until_listening(1);
    server
}

/// The address of a server.
fn at(server: &Halves) -> String {
    server.at[0].to_string()
}
