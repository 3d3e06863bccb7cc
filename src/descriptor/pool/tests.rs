//! Files on the blocking pool, tested with pipes, files and terminals.

use std::future::poll_fn;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::mpsc;
use std::thread;

use futures_lite::future;

use super::*;
use crate::blocking::without_threads;
use crate::descriptor::kind::set_nonblocking;

fn pipe() -> (io::PipeReader, PoolWriter) {
    let (from, to) = io::pipe().expect("a pipe");
    (from, PoolWriter::new(File::from(OwnedFd::from(to))))
}

#[test]
fn what_was_taken_is_written_also_when_the_writer_is_dropped() {
    let (mut from, to) = pipe();
    let taken = smol::block_on(async {
        let mut taken = 0;
        let chunk = [7; 10_000];
        // Nobody reads: the pipe, the thread and the queue fill up.
        let writing = async {
            loop {
                let write = poll_fn(|cx| to.poll_write(cx, &chunk));
                taken += write.await.expect("it is read later");
            }
        };
        let mut writing = Box::pin(writing);
        while !to.0.lock().is_full() {
            assert!(future::poll_once(&mut writing).await.is_none());
        }
        drop(writing);
        taken
    });
    assert!(taken >= ROOM, "{taken}");
    drop(to);
    let mut heard = Vec::new();
    from.read_to_end(&mut heard).expect("a pipe");
    assert_eq!(heard.len(), taken);
}

#[test]
fn a_write_that_is_refused_a_thread_takes_nothing() {
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
            let mut rest = &vec![7; 3 * ROOM][..];
            while !rest.is_empty() {
                let n = poll_fn(|cx| to.poll_write(cx, rest)).await.expect("read");
                rest = &rest[n..];
            }
            poll_fn(|cx| to.poll_flush(cx)).await.expect("read");
        });
        sent.send(()).expect("the test waits");
    });
    let mut heard = vec![0; 3 * ROOM];
    from.read_exact(&mut heard).expect("a pipe");
    done.recv().expect("it was flushed");
}

/// The person's end of a terminal, and the program's.
pub(in crate::descriptor) fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let person = openpt(flags)?;
    grantpt(&person)?;
    unlockpt(&person)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let program = open(ptsname(&person, vec![])?, flags, Mode::empty())?;
    Ok((person, program))
}

/// Reads on a thread, and returns when that waits, or has not waited.
#[cfg(target_os = "linux")]
fn read_on_a_thread(file: OwnedFd) -> (u32, thread::JoinHandle<io::Result<Vec<u8>>>) {
    let (say, hear) = mpsc::channel();
    let reading = thread::spawn(move || {
        let id = rustix::thread::gettid().as_raw_nonzero().get();
        say.send(id.cast_unsigned()).expect("the test waits");
        let mut heard = vec![0; 8];
        let n = BlockingFile::new(File::from(file)).read(&mut heard)?;
        heard.truncate(n);
        Ok(heard)
    });
    let id = hear.recv().expect("it begins");
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

/// It ends poll(2) whatever its handler says.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_is_handled_is_no_error() -> io::Result<()> {
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
fn a_terminal_whose_reads_do_not_wait_is_waited_for() -> io::Result<()> {
    use rustix::termios::{OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

    let (person, program) = terminal()?;
    let mut mode = tcgetattr(&program)?;
    mode.make_raw();
    mode.special_codes[SpecialCodeIndex::VMIN] = 0;
    tcsetattr(&program, OptionalActions::Now, &mode)?;
    let (_, reading) = read_on_a_thread(program.try_clone()?);
    rustix::io::write(&person, b"hello")?;
    assert_eq!(reading.join().expect("no panic")?, b"hello");
    let (_, reading) = read_on_a_thread(program);
    drop(person);
    assert_eq!(reading.join().expect("no panic")?, b"", "it is hung up");
    Ok(())
}

#[test]
fn an_input_output_error_is_the_end_of_a_terminal_that_is_hung_up() -> io::Result<()> {
    let (person, program) = terminal()?;
    let read = || checked(program.as_fd(), Err(rustix::io::Errno::IO));
    assert!(read().is_err(), "it is still there");
    drop(person);
    assert_eq!(read()?, 0);
    Ok(())
}

impl Queue {
    fn is_full(&self) -> bool {
        self.bytes.len() == ROOM
    }
}
