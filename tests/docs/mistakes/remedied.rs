//! The same programs with the remedies that the messages name.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use halves::{Connection, Executor, Listeners, bind, serve, spawn_fn};
use halves::service::upper;

async fn count(served: Arc<Mutex<u32>>, client: Connection) -> std::io::Result<()> {
    *served.lock().expect("no panic") += 1;
    upper(client.reader, client.writer).await
}

async fn run(ex: &Executor) -> std::io::Result<()> {
    let handler = async |Connection { reader, writer, .. }| upper(reader, writer).await;
    let spawn = spawn_fn(|task| ex.spawn(task).detach());
    serve(spawn, bind("127.0.0.1:0").await?, handler).await?;

    let socket = TcpListener::bind("127.0.0.1:0")?;
    let listener = Listeners::try_from(OwnedFd::from(socket))?;
    let served = Arc::new(Mutex::new(0));
    let handler = async move |client: Connection| count(served.clone(), client).await;
    serve(ex, listener, handler).await.map(drop)
}

fn main() {
    drop(run(&Executor::new()));
}
