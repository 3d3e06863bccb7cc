//! Finds a planted bug in a small lock server: `cargo run --example simulate --features testing`

use futures_lite::AsyncWriteExt;
use halves::Connection;
use halves::testing::{Faults, Sim, SimReader, SimWriter, Simulation};
use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

/// The bug: the lock of a client that is cut off stays locked.
async fn lock(locked: Rc<Cell<bool>>, mut c: Connection<SimReader, SimWriter>) -> io::Result<()> {
    while let Some(request) = c.reader.line().await? {
        locked.set(request == b"lock\n");
        c.writer.write_all(b"done\n").await?;
    }
    Ok(())
}

async fn no_lock_is_left(sim: Sim) -> io::Result<()> {
    let locked = Rc::new(Cell::new(false));
    let lock_server = locked.clone();
    let server = sim.serve("locks", move |client| lock(lock_server, client))?;
    let client = async {
        let mut client = sim.connect("locks").await?;
        for request in ["lock\n", "unlock\n"] {
            client.writer.write_all(request.as_bytes()).await?;
            client.reader.line().await?;
        }
        io::Result::Ok(())
    };
    let _ = sim.clock().timeout(Duration::from_secs(10), client).await;
    server.shutdown().drain();
    server.wait_closed().await;
    let left = locked.get().then(|| io::Error::other("a lock is left"));
    left.map_or(Ok(()), Err)
}

fn main() -> io::Result<()> {
    let simulation = Simulation::builder().faults(Faults::all().offsets(0..12));
    match simulation.try_run(no_lock_is_left) {
        Err(failure) => write!(io::stdout(), "{failure}"),
        Ok(_) => Err(io::Error::other("the bug was not found")),
    }
}
