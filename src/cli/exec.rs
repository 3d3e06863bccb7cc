//! `halves exec`: a program for each connection.

use std::ffi::OsString;
use std::io;

use halves::server::END_GRACE;
use halves::service::{Exec, RunService};
use rustix::process::{Resource, getrlimit};

use super::args::ServerOptions;
use super::service::Served;

/// The files of a connection: the socket, and the child.
pub(super) const FILES: usize = 2;
/// The files of a connection that has a child with pipes, including the child's ends.
const FILES_WITH_PIPES: usize = 6;

/// Finds the program. The first word is its name. An error is one line.
pub(super) fn service(program: &[OsString], options: &ServerOptions) -> Result<Served, String> {
    let exec = find(program).map_err(|error| format!("exec: {error}"))?;
    Ok(Served {
        name: "exec",
        answers: true,
        files: if has_pipes(options) {
            FILES_WITH_PIPES
        } else {
            FILES
        },
        grace: END_GRACE,
        handover: None,
        run: Box::new(|runner| runner.run(exec)),
    })
}

/// Returns true if children may have pipes.
fn has_pipes(options: &ServerOptions) -> bool {
    let has_layer = !options.tls_cert.is_empty() || options.proxy_protocol.0.is_some();
    has_layer || options.record.is_some() || options.min_rate > 0 || !options.idle_timeout.is_zero()
}

/// Finds a program. Its processes get the present environment and limit of open files.
pub(super) fn find(program: &[OsString]) -> io::Result<Exec> {
    let (name, args) = program.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let exec = Exec::new(name)?.args(args)?;
    Ok(match getrlimit(Resource::Nofile).current {
        Some(files) => exec.open_files(files),
        None => exec,
    })
}
