//! A server with settings of its own.

use std::future::Future;
use std::io;

use halves::server::Handler;
use halves::testing::{Sim, SimReader, SimWriter};
use halves::{Connection, Handle, Server};

/// Serves a name with the settings of `server`. The run fails if the server does.
pub(crate) fn serve<H, F>(sim: &Sim, name: &str, server: Server, handler: H) -> io::Result<Handle>
where
    H: Handler<Connection<SimReader, SimWriter>, F> + 'static,
    F: Future<Output = io::Result<()>> + 'static,
{
    let handle = server.handle();
    let serving = server.serve(sim.clone(), sim.listen(name)?, handler);
    sim.spawn(async move { serving.await.expect("no error of the listener") });
    Ok(handle)
}
