//! A handler that captures a value which cannot be cloned.

use std::sync::Mutex;

use halves::{Connection, Executor, bind, serve};

async fn run(ex: &Executor) -> std::io::Result<()> {
    let served = Mutex::new(0);
    let count = async move |client: Connection| {
        drop(client);
        *served.lock().expect("no panic") += 1;
        Ok(())
    };
    serve(ex, bind("127.0.0.1:0").await?, count).await.map(drop)
}

fn main() {
    drop(run(&Executor::new()));
}
