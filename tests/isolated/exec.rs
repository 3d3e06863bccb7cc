//! Descriptors, signals, limits and variables of the children of connections.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_lite::{AsyncReadExt, future};
use halves::listener::memory;
use halves::process::reap_all_orphans;
use halves::service::{Exec, Exited};
use halves::{Connection, Event, Executor, Reason, Server, Shutdown, bind, connect};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Set in the process that has the environment of a test.
const INSIDE: &str = "HALVES_TEST_INSIDE";
/// Far longer than any wait in a test.
const TIMEOUT: Duration = Duration::from_secs(20);

fn sh(script: &str) -> Exec {
    let exec = Exec::new("sh").expect("a shell");
    exec.args(["-c", script]).expect("no zero byte")
}

/// A connection for a program, on a socket or in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Socket,
    Memory,
}

const KINDS: [Kind; 2] = [Kind::Socket, Kind::Memory];

async fn pair(kind: Kind) -> io::Result<[Connection; 2]> {
    if kind == Kind::Memory {
        let (client, server) = memory::pair(1 << 16);
        return Ok([client.erase(), server.erase()]);
    }
    let mut listeners = bind("127.0.0.1:0").await?;
    let address = listeners.local_addrs()[0].to_string();
    let client = connect(address.as_str()).await?;
    let server = halves::Listener::accept(&mut listeners).await?;
    Ok([client, server.expect("a client")])
}

/// The output of a program for a connection.
fn output_of(exec: Exec, kind: Kind) -> io::Result<String> {
    Executor::new().block_on(async {
        let [mut client, server] = pair(kind).await?;
        let peer = server.peer.clone();
        exec.serve(server).await?;
        assert!(
            peer.extension::<Exited>()
                .expect("a child")
                .status
                .success()
        );
        drop(peer);
        let mut output = String::new();
        client.reader.read_to_string(&mut output).await?;
        Ok(output)
    })
}

/// Runs this test again in a process of its own, started by a script. Returns false there.
fn starts_again(script: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return false;
    }
    let this = env::current_exe().expect("a path");
    let again = Command::new("sh")
        .args(["-c", script])
        .arg(this)
        .env(INSIDE, "1")
        .status();
    assert!(again.expect("it starts").success());
    true
}

/// Also not one that this process opened without close-on-exec.
pub(crate) fn a_child_of_a_connection_has_no_other_descriptor() -> io::Result<()> {
    let stderr = io::stderr();
    let _open = rustix::io::dup(&stderr)?;
    for kind in KINDS {
        let seen = output_of(sh("ls /proc/$$/fd"), kind)?;
        let seen: BTreeSet<_> = seen.lines().collect();
        assert_eq!(seen, ["0", "1", "2"].into(), "{kind:?}");
    }
    Ok(())
}

pub(crate) fn the_descriptors_of_a_child_block() -> io::Result<()> {
    for kind in KINDS {
        let cat = Exec::new("cat")?.args(["/proc/self/fdinfo/0", "/proc/self/fdinfo/1"])?;
        let flags = output_of(cat, kind)?;
        let flags = flags.lines().filter_map(|line| line.strip_prefix("flags:"));
        let flags: Vec<_> = flags
            .map(|flags| u32::from_str_radix(flags.trim(), 8).expect("a number"))
            .collect();
        assert_eq!(flags.len(), 2);
        // O_NONBLOCK.
        assert!(flags.iter().all(|flags| flags & 0o4000 == 0), "{flags:?}");
    }
    Ok(())
}

pub(crate) fn a_child_of_a_connection_has_default_signals() -> io::Result<()> {
    if starts_again("trap '' HUP USR1; exec \"$0\"") {
        return Ok(());
    }
    let mut blocked = nix::sys::signal::SigSet::empty();
    blocked.add(nix::sys::signal::Signal::SIGUSR2);
    blocked.thread_block()?;
    for kind in KINDS {
        let cat = Exec::new("cat")?.args(["/proc/self/stat", "/proc/self/status"])?;
        let stat = output_of(cat, kind)?;
        let (pid, rest) = stat.split_once(' ').expect("a number");
        let (_, rest) = rest.split_once(") ").expect("a name");
        assert_eq!(rest.split(' ').nth(2), Some(pid), "its group is its own");
        for set in ["SigBlk:", "SigIgn:", "SigCgt:", "SigPnd:", "ShdPnd:"] {
            assert_eq!(signals(&stat, set), 0, "{kind:?} {set}");
        }
    }
    let ours = fs::read_to_string("/proc/self/status")?;
    assert_ne!(signals(&ours, "SigIgn:"), 0, "ignored here");
    Ok(())
}

/// The set of signals in a line of `/proc/PID/status`.
fn signals(status: &str, name: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix(name));
    u64::from_str_radix(set.expect("a line").trim(), 16).expect("a set")
}

pub(crate) fn a_child_of_a_connection_has_the_given_limit_of_open_files() -> io::Result<()> {
    let ours = getrlimit(Resource::Nofile);
    for kind in KINDS {
        let soft = || sh("ulimit -Sn");
        let hard = output_of(sh("ulimit -Hn").open_files(100), kind)?;
        assert_eq!(output_of(soft().open_files(100), kind)?, "100\n");
        assert_eq!(output_of(soft().open_files(u64::MAX), kind)?, hard);
        let inherited = ours
            .current
            .map_or("unlimited".into(), |soft| soft.to_string());
        assert_eq!(output_of(soft(), kind)?, format!("{inherited}\n"));
    }
    assert_eq!(getrlimit(Resource::Nofile), ours);
    Ok(())
}

pub(crate) fn variables_of_another_connection_are_not_inherited() -> io::Result<()> {
    let script = "export PROTO=UDP TCPREMOTEIP=a TCPREMOTEHOST=b TCPREMOTEINFO=c TCPLOCALHOST=d \
        SSL_CIPHER=e UNIXREMOTEUID=f LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=g \
        NOTIFY_SOCKET=h WATCHDOG_USEC=i WATCHDOG_PID=j KEPT=k; exec \"$0\"";
    if starts_again(script) {
        return Ok(());
    }
    let output = output_of(Exec::new("env")?, Kind::Memory)?;
    let names = output.lines().filter_map(|line| line.split_once('='));
    let left: Vec<_> = names
        .map(|(name, _)| name)
        .filter(|name| {
            let prefixes = [
                "PROTO", "TCP", "SSL_CI", "UNIX", "LISTEN", "NOTIFY", "WATCHDOG",
            ];
            prefixes.iter().any(|prefix| name.starts_with(prefix))
        })
        .collect();
    assert_eq!(left, Vec::<&str>::new());
    assert!(output.contains("KEPT=k\n"));
    Ok(())
}

pub(crate) fn exit_statuses_are_kept_where_sigchld_was_ignored() -> io::Result<()> {
    if starts_again("exec env --ignore-signal=CHLD \"$0\"") {
        return Ok(());
    }
    let ignored = || -> io::Result<bool> {
        let ours = fs::read_to_string("/proc/self/status")?;
        Ok(signals(&ours, "SigIgn:") & 1 << (17 - 1) != 0)
    };
    assert!(ignored()?, "inherited");
    assert_eq!(output_of(sh("echo hello"), Kind::Memory)?, "hello\n");
    assert!(!ignored()?);
    Ok(())
}

fn open_descriptors() -> io::Result<BTreeSet<i32>> {
    let open = fs::read_dir("/proc/self/fd")?;
    let numbers = open.map(|entry| Ok(entry?.file_name().to_str().and_then(|n| n.parse().ok())));
    let numbers: io::Result<BTreeSet<Option<i32>>> = numbers.collect();
    let numbers = numbers?.into_iter().flatten();
    // Not that of the directory.
    let is_open = |n: &i32| fs::read_link(format!("/proc/self/fd/{n}")).is_ok();
    Ok(numbers.filter(is_open).collect())
}

fn children() -> io::Result<String> {
    fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id()))
}

/// Each number of descriptors that are left, from none to enough.
pub(crate) fn a_lack_of_descriptors_ends_one_connection_and_leaks_nothing() -> io::Result<()> {
    super::spliced::start_async_io();
    let limit = getrlimit(Resource::Nofile);
    Executor::new().block_on(async {
        for kind in KINDS {
            let exec = sh("echo hello").open_files(1024);
            let mut failed = 0;
            for left in 0.. {
                let [mut client, server] = pair(kind).await?;
                // Registers the socket, which takes no descriptor.
                let before = open_descriptors()?;
                let free = (0..)
                    .filter(|n| !before.contains(n))
                    .nth(left)
                    .expect("one");
                let mut low = limit;
                low.current = Some(free.unsigned_abs().into());
                setrlimit(Resource::Nofile, low)?;
                let served = exec.clone().serve(server).await;
                setrlimit(Resource::Nofile, limit)?;
                let mut output = String::new();
                client.reader.read_to_string(&mut output).await?;
                drop(client);
                eventually(|| Ok(children()?.is_empty()))?;
                match served {
                    Ok(()) => {
                        assert_eq!(output, "hello\n");
                        break;
                    }
                    Err(error) => assert!(error.to_string().contains("os error 24"), "{error}"),
                }
                failed += 1;
                assert_eq!(output, "");
                let after = open_descriptors()?;
                assert!(
                    after.is_subset(&before),
                    "{kind:?}: {before:?}, then {after:?}"
                );
            }
            let needed = if kind == Kind::Socket { 1 } else { 4 };
            assert!(failed >= needed, "{kind:?}: {failed}");
        }
        Ok(())
    })
}

fn eventually(mut is_so: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let start = Instant::now();
    while !is_so()? {
        assert!(start.elapsed() < TIMEOUT, "it never came");
        std::thread::yield_now();
    }
    Ok(())
}

/// A process that reaps all orphans leaves these children alone.
pub(crate) fn children_of_connections_are_not_orphans() -> io::Result<()> {
    let ex = Executor::new();
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let seen = reasons.clone();
    let shutdown = Shutdown::default();
    let server = Server::default()
        .shutdown(shutdown.clone())
        .on_event(move |event| {
            if let Event::Closed(closed) = event {
                let mut seen = seen.lock().expect("no panic");
                seen.push((
                    closed.reason,
                    closed.error.as_ref().map(ToString::to_string),
                ));
            }
        });
    let serves = async {
        let listeners = bind("127.0.0.1:0").await?;
        let address = listeners.local_addrs().remove(0);
        let exec = sh("exit 7");
        let served = server.serve(&ex, listeners, move |c| exec.serve(c));
        let clients = async {
            for _ in 0..100 {
                let client = TcpStream::connect(address.socket_addr().expect("TCP"))?;
                client.set_nonblocking(true)?;
                let mut client = smol::Async::new(client)?;
                assert_eq!(client.read(&mut [0]).await?, 0);
                assert!(client.as_raw_fd() > 2);
            }
            shutdown.drain();
            Ok(())
        };
        future::try_zip(served, clients).await.map(drop)
    };
    let reaps = async { Err(reap_all_orphans().await) };
    ex.block_on(future::or(serves, reaps))?;
    let reasons = reasons.lock().expect("no panic");
    assert_eq!(*reasons, vec![(Reason::Child, None); 100]);
    Ok(())
}
