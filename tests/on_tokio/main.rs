//! With the feature `tokio`, in a runtime of tokio: halves of every kind conform, listeners of
//! tokio are served, and sleeps use the timer of tokio.

mod listeners;
mod sleeps;
#[path = "../support/mod.rs"]
mod support;

use std::future::Future;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::process::Command;
use tokio::runtime::{Builder, Runtime};

use crate::support::conformance;

fn one_thread() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

fn two_threads() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let builder = builder.worker_threads(2).enable_all();
    builder.build().expect("a runtime")
}

/// On one thread, and on several, where one thread drives the sockets of tasks on another.
fn on_both<F: Future<Output = ()>>(test: impl Fn() -> F) {
    one_thread().block_on(test());
    two_threads().block_on(test());
}

#[test]
fn tcp_conforms() {
    on_both(|| conformance::check_address("127.0.0.1:0"));
}

#[test]
fn unix_sockets_conform() {
    let dir = tempfile::tempdir().expect("a directory");
    let address = format!("unix:{}", dir.path().join("socket").display());
    on_both(|| conformance::check_address(&address));
}

#[test]
fn pipes_conform() {
    on_both(conformance::check_pipes);
}

#[test]
fn a_child_answers_and_its_exit_is_seen() {
    on_both(async || {
        let (mut connection, child) = Command::new("cat").connect().expect("it runs");
        let sent = async {
            connection
                .writer
                .write_all(&vec![b'x'; conformance::LARGE_TRANSFER_BYTES])
                .await?;
            connection.writer.close().await
        };
        let mut answer = Vec::new();
        let read = connection.reader.read_to_end(&mut answer);
        future::try_zip(sent, read).await.expect("a relay");
        assert_eq!(answer.len(), conformance::LARGE_TRANSFER_BYTES);
        assert!(child.wait().await.expect("ours").success());
    });
}
