//! The pipes of relays between sockets: few, and none where they cannot be had.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use async_signal::{Signal, Signals};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::testing::pattern;
use halves::{Connection, Executor, Peer, service};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::conformance;

const MIB: usize = 1 << 20;
/// The most pipes of a process, and the most that are kept.
const MAX_PIPES: usize = 32;
const MAX_IDLE_PIPES: usize = 4;

/// The number of pipes that this process has open for itself.
fn pipes() -> usize {
    let fds = fs::read_dir("/proc/self/fd").expect("Linux");
    let mut names: Vec<_> = fds
        .filter_map(|fd| Some(fs::read_link(fd.ok()?.path()).ok()?.into_os_string()))
        .filter(|name| name.to_string_lossy().starts_with("pipe:"))
        .collect();
    names.sort();
    // Both ends. Standard streams may be other pipes, of which this process has one end.
    names.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

/// A client and an origin, and the ends of the relay.
async fn connect() -> io::Result<[(Connection, Connection); 2]> {
    let client = conformance::connected("127.0.0.1:0").await?;
    Ok([client, conformance::connected("127.0.0.1:0").await?])
}

/// Sends until nothing moves, then reads everything at the origin. Returns the number of pipes in
/// between, and at the end. Calls `connected` before bytes are sent.
fn transfer<T>(relays: usize, connected: impl FnOnce() -> T) -> io::Result<[usize; 2]> {
    let ex = Executor::new();
    let sent = pattern(20 * MIB);
    ex.block_on(async {
        let mut ends = Vec::new();
        for _ in 0..relays {
            ends.push(connect().await?);
        }
        let _held = connected();
        let (before, mut transfers, mut peers) = (pipes(), Vec::new(), Vec::new());
        for [(mut client, near), (far, mut origin)] in ends {
            peers.push(near.peer.clone());
            let relay = ex.spawn(service::relay(near, far));
            let bytes = sent.clone();
            let write = ex.spawn(async move {
                client.writer.write_all(&bytes).await?;
                client.writer.close().await
            });
            // Ends the other direction.
            origin.writer.close().await?;
            transfers.push((relay, write, origin));
        }
        let (mut turns, mut moved) = (0, Vec::new());
        while turns < 1000 {
            future::yield_now().await;
            let now: Vec<_> = peers.iter().map(Peer::bytes_in).collect();
            turns = if moved == now { turns + 1 } else { 0 };
            moved = now;
        }
        let stalled = pipes() - before;
        for (relay, write, mut origin) in transfers {
            let mut received = Vec::new();
            origin.reader.read_to_end(&mut received).await?;
            assert!(received == sent);
            write.await?;
            relay.await?;
        }
        Ok([stalled, pipes() - before])
    })
}

/// Starts async-io, which opens its descriptors at the first use and panics without them.
pub(crate) fn start_async_io() {
    smol::block_on(smol::Timer::after(Duration::from_millis(1)));
}

/// Opens descriptors until none is left.
pub(crate) fn use_up() -> Vec<File> {
    start_async_io();
    let Ok(last) = File::open("/dev/null") else {
        return Vec::new();
    };
    let limit = getrlimit(Resource::Nofile);
    let current = u64::try_from(last.as_raw_fd()).expect("a descriptor") + 10;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(current),
            ..limit
        },
    )
    .expect("lower than before");
    let mut files = vec![last];
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    // What counts the pipes needs one.
    files.pop();
    files
}

pub(crate) fn stalled_relays_share_a_bounded_number_of_pipes() -> io::Result<()> {
    let [stalled, after] = transfer(2, || ())?;
    assert!((1..=2).contains(&stalled), "{stalled}");
    assert!(after <= MAX_IDLE_PIPES, "{after}");
    let [stalled, after] = transfer(MAX_PIPES + 8, || ())?;
    assert!(
        (MAX_IDLE_PIPES + 1..=MAX_PIPES).contains(&stalled),
        "{stalled}"
    );
    assert!(after <= MAX_IDLE_PIPES, "{after}");
    Ok(())
}

pub(crate) fn bytes_are_copied_if_no_pipe_can_be_had() -> io::Result<()> {
    assert_eq!(transfer(1, use_up)?[0], 0);
    Ok(())
}

pub(crate) fn a_program_that_does_not_ignore_sigpipe_has_no_pipes() -> io::Result<()> {
    let _caught = Signals::new([Signal::Pipe])?;
    assert_eq!(transfer(1, || ())?, [0, 0]);
    Ok(())
}
