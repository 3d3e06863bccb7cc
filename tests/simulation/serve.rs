//! A server with settings and a listener of its own.

use std::future::Future;
use std::io;

use halves::server::Handler;
use halves::testing::Sim;
use halves::{Connection, Handle, Listener, Server};

/// Serves a listener with the settings of `server`. The run fails if the server does.
pub(crate) fn serve<L, H, F>(sim: &Sim, server: Server, listener: L, handler: H) -> Handle
where
    L: Listener + 'static,
    H: Handler<Connection<L::Reader, L::Writer>, F> + 'static,
    F: Future<Output = io::Result<()>> + 'static,
{
    let handle = server.handle();
    let serving = server.serve(sim.clone(), listener, handler);
    sim.spawn(async move { serving.await.expect("no error of the listener") });
    handle
}
