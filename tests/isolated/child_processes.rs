//! Groups, descriptors, signals and limits of child processes.

use std::collections::BTreeSet;
use std::fs::{self, File};

use futures_lite::AsyncReadExt;
use halves::Executor;
use halves::process::Command;
use rustix::process::{Resource, getrlimit, setrlimit};

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

/// The bit of SIGPIPE in a set of signals.
const PIPE: u64 = 1 << (13 - 1);

async fn output_of(command: Command) -> String {
    let (mut connection, child) = command.connect().expect("it runs");
    let mut output = String::new();
    connection
        .reader
        .read_to_string(&mut output)
        .await
        .expect("text");
    assert!(child.wait().await.expect("ours").success());
    output
}

/// The numbers of the descriptors of this process that a child inherits.
fn inheritable() -> BTreeSet<String> {
    let open = fs::read_dir("/proc/self/fd").expect("Linux");
    let names = open.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let kept = names.filter(|name| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{name}"));
        let flags = info.ok().and_then(|info| {
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            u32::from_str_radix(flags?.trim(), 8).ok()
        });
        flags.is_some_and(|flags| flags & 0o2_000_000 == 0)
    });
    kept.collect()
}

pub(crate) fn a_child_has_no_descriptor_but_its_standard_streams() {
    let ex = Executor::new();
    ex.block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        // Open descriptors of each kind.
        let listeners = halves::bind("127.0.0.1:0").await.expect("bound");
        let client = halves::connect(listeners.local_addrs()[0].to_string()).await;
        let pair = Command::new("cat").socketpair().connect().expect("it runs");
        let pipes = Command::new("cat").connect().expect("it runs");
        let waiting = ex.spawn(async move {
            let _ = pipes.1.wait().await;
            drop(pipes);
        });
        let files = halves::listener::files("/dev/null", &file).await;
        for command in [sh("ls /proc/$$/fd"), sh("ls /proc/$$/fd").socketpair()] {
            let given = output_of(command).await;
            let given: BTreeSet<_> = given.lines().map(ToOwned::to_owned).collect();
            let mut expected = inheritable();
            // A shell has no others open while it waits for `ls`.
            expected.extend(["0", "1", "2"].map(ToOwned::to_owned));
            assert!(given.is_subset(&expected), "{given:?} of {expected:?}");
        }
        drop((listeners, client, pair, files, waiting));
    });
}

pub(crate) fn a_child_leads_a_group_and_has_default_signals() {
    smol::block_on(async {
        // Not a shell, which may be between two states of its own.
        let cat = Command::new("cat").args(["/proc/self/stat", "/proc/self/status"]);
        let stat = output_of(cat).await;
        let (pid, rest) = stat.split_once(' ').expect("a number");
        let (_, rest) = rest.split_once(") ").expect("a name");
        assert_eq!(rest.split(' ').nth(2), Some(pid), "its group is its own");
        assert_eq!(signals(&stat, "SigBlk:"), 0, "none is blocked");
        let ours = fs::read_to_string("/proc/self/status").expect("Linux");
        assert_eq!(signals(&ours, "SigIgn:") & PIPE, PIPE, "ignored here");
        assert_eq!(signals(&stat, "SigIgn:") & PIPE, 0, "and not there");
    });
}

/// The set of signals in a line of `/proc/PID/status`.
fn signals(status: &str, name: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix(name));
    u64::from_str_radix(set.expect("a line").trim(), 16).expect("a set")
}

pub(crate) fn a_child_has_the_limit_of_open_files_that_it_is_given() {
    smol::block_on(async {
        let ours = getrlimit(Resource::Nofile);
        let mut raised = ours;
        raised.current = raised.maximum;
        setrlimit(Resource::Nofile, raised).expect("the hard limit is allowed");
        let soft = || sh("ulimit -Sn");
        assert_eq!(output_of(soft().open_files(100)).await, "100\n");
        let hard = output_of(sh("ulimit -Hn").open_files(100)).await;
        assert_eq!(output_of(soft()).await, hard, "that of this process");
        let most = output_of(soft().open_files(u64::MAX)).await;
        assert_eq!(most, hard, "no more than is allowed");
        assert_eq!(getrlimit(Resource::Nofile), raised, "ours stays");
        let _ = setrlimit(Resource::Nofile, ours);
    });
}

pub(crate) fn a_child_may_have_files_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("output");
    let mut command = std::process::Command::new("echo");
    command
        .arg("hello")
        .stdout(File::create(&path).expect("a file"));
    let child = Command::from(command).spawn().expect("it runs");
    assert!(smol::block_on(child.wait()).expect("ours").success());
    assert_eq!(fs::read(path).expect("a file"), b"hello\n");
}
