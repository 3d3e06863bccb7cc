//! `ServerCommand`: the command of a server, with its own arguments.

use std::ffi::OsString;

use super::args::{Proxy, Serve, ServerOptions};
use super::service::Served;
use super::{exec, proxy};

/// The command of a server, with its own arguments.
#[derive(Debug)]
pub(super) enum ServerCommand {
    Serve(Serve),
    /// A program, and its arguments.
    Exec(Vec<OsString>),
    Proxy(Proxy),
}

impl ServerCommand {
    /// Makes the service. An error is one line.
    pub(super) fn service(self, options: &ServerOptions) -> Result<Served, String> {
        match self {
            Self::Serve(serve) => Ok(serve.service()),
            Self::Exec(program) => exec::service(&program, options),
            Self::Proxy(proxy) => proxy::service(&proxy),
        }
    }
}
