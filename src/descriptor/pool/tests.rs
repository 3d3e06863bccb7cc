//! Tests of the pool writer and of blocking reads, on pipes, files and terminals.

use std::future::poll_fn;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::thread;

use futures_lite::future;

use super::writer::{MAX_QUEUED_BYTES, PoolQueue};
use super::*;
use crate::blocking::without_threads;
use crate::descriptor::kind::set_nonblocking;

fn pipe() -> (io::PipeReader, PoolWriter) {
    let (from, to) = io::pipe().expect("a pipe");
    (from, PoolWriter::new(File::from(OwnedFd::from(to))))
}

#[test]
fn accepted_bytes_are_written_after_the_writer_is_dropped() {
    let (mut from, to) = pipe();
    let accepted = smol::block_on(async {
        let mut accepted = 0;
        let chunk = [7; 10_000];
        // Without a read, the pipe, the thread and the queue fill up.
        let writing = async {
            loop {
                let write = poll_fn(|cx| to.poll_write(cx, &chunk));
                accepted += write.await.expect("it is read later");
            }
        };
        let mut writing = Box::pin(writing);
        while !to.0.lock().is_full() {
            assert!(future::poll_once(&mut writing).await.is_none());
        }
        drop(writing);
        accepted
    });
    assert!(accepted >= MAX_QUEUED_BYTES, "{accepted}");
    drop(to);
    let mut received = Vec::new();
    from.read_to_end(&mut received).expect("a pipe");
    assert_eq!(received.len(), accepted);
}

#[test]
fn a_write_that_gets_no_thread_accepts_no_bytes() {
    let file = tempfile::tempfile().expect("a file");
    let to = PoolWriter::new(file.try_clone().expect("a copy"));
    let write = |bytes| smol::block_on(poll_fn(|cx| to.poll_write(cx, bytes)));
    without_threads(|| {
        for _ in 0..2 {
            let error = write(b"lost").expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::Other);
            assert!(error.to_string().starts_with("no thread"), "{error}");
        }
    });
    smol::block_on(poll_fn(|cx| to.poll_flush(cx))).expect("there is nothing to write");
    assert_eq!(write(b"kept").expect("a thread"), 4);
    drop(to);
    let mut written = [0; 8];
    let n = file.read_at(&mut written, 0).expect("read");
    assert_eq!(&written[..n], b"kept");
}

#[test]
fn a_writer_that_waits_for_room_is_woken() {
    let (mut from, to) = pipe();
    let (sent, done) = mpsc::channel();
    thread::spawn(move || {
        smol::block_on(async {
            let mut rest = &vec![7; 3 * MAX_QUEUED_BYTES][..];
            while !rest.is_empty() {
                let n = poll_fn(|cx| to.poll_write(cx, rest)).await.expect("read");
                rest = &rest[n..];
            }
            poll_fn(|cx| to.poll_flush(cx)).await.expect("read");
        });
        sent.send(()).expect("the test waits");
    });
    let mut received = vec![0; 3 * MAX_QUEUED_BYTES];
    from.read_exact(&mut received).expect("a pipe");
    done.recv().expect("it was flushed");
}

/// Opens a pseudo-terminal and returns its master end and the terminal.
pub(in crate::descriptor) fn open_pty() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = open(ptsname(&master, vec![])?, flags, Mode::empty())?;
    Ok((master, terminal))
}

/// Reads on a thread. Returns when the thread is asleep or has finished.
#[cfg(target_os = "linux")]
fn read_on_a_thread(file: OwnedFd) -> (u32, thread::JoinHandle<io::Result<Vec<u8>>>) {
    let (id_sender, id_receiver) = mpsc::channel();
    let reading = thread::spawn(move || {
        let id = rustix::thread::gettid().as_raw_nonzero().get();
        id_sender.send(id.cast_unsigned()).expect("the test waits");
        let mut received = vec![0; 8];
        let n = BlockingFile::new(File::from(file)).read(&mut received)?;
        received.truncate(n);
        Ok(received)
    });
    let id = id_receiver.recv().expect("it starts");
    wait_until_asleep(id, &reading);
    (id, reading)
}

#[cfg(target_os = "linux")]
fn wait_until_asleep<T>(id: u32, thread: &thread::JoinHandle<T>) {
    let stat = format!("/proc/self/task/{id}/stat");
    let is_asleep = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") S "));
    while !thread.is_finished() && !is_asleep() {
        thread::yield_now();
    }
}

/// A signal interrupts poll(2) regardless of the flags of its handler.
#[cfg(target_os = "linux")]
#[test]
fn a_read_continues_after_a_signal() -> io::Result<()> {
    use std::os::unix::thread::JoinHandleExt;

    use async_signal::{Signal, Signals};
    use futures_lite::StreamExt;

    let mut signals = Signals::new([Signal::Winch])?;
    let (from, mut to) = io::pipe()?;
    set_nonblocking(&from)?;
    let (id, reading) = read_on_a_thread(from.into());
    for _ in 0..3 {
        if !reading.is_finished() {
            nix::sys::pthread::pthread_kill(reading.as_pthread_t(), nix::sys::signal::SIGWINCH)?;
            smol::block_on(signals.next());
            wait_until_asleep(id, &reading);
        }
    }
    to.write_all(b"hello")?;
    assert_eq!(reading.join().expect("no panic")?, b"hello");
    Ok(())
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_waits_for_a_terminal_with_vmin_0() -> io::Result<()> {
    use rustix::termios::{OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

    let (master, terminal) = open_pty()?;
    let mut mode = tcgetattr(&terminal)?;
    mode.make_raw();
    mode.special_codes[SpecialCodeIndex::VMIN] = 0;
    tcsetattr(&terminal, OptionalActions::Now, &mode)?;
    let (_, reading) = read_on_a_thread(terminal.try_clone()?);
    rustix::io::write(&master, b"hello")?;
    assert_eq!(reading.join().expect("no panic")?, b"hello");
    let (_, reading) = read_on_a_thread(terminal);
    drop(master);
    assert_eq!(reading.join().expect("no panic")?, b"", "it is hung up");
    Ok(())
}

#[test]
fn an_input_output_error_is_the_end_of_a_terminal_that_is_hung_up() -> io::Result<()> {
    let (master, terminal) = open_pty()?;
    let read = || check_read(terminal.as_fd(), Err(rustix::io::Errno::IO));
    assert!(read().is_err(), "it is still there");
    drop(master);
    assert_eq!(read()?, 0);
    Ok(())
}

impl PoolQueue {
    fn is_full(&self) -> bool {
        self.bytes.len() == MAX_QUEUED_BYTES
    }
}
