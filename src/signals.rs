//! Signals of the process: caught in one way, and unblocked where they are heard.

use std::fs;
use std::io;
use std::thread;

use async_signal::Signal;
use futures_lite::StreamExt;
use nix::sys::signal::SigSet;

/// Signals that are caught from now on. They wait until [`watch`](Self::watch) or
/// [`next`](Self::next) takes them.
///
/// For the command; not part of the library's interface.
#[derive(Debug)]
pub struct Signals {
    caught: async_signal::Signals,
    set: SigSet,
}

impl Signals {
    /// Catches these signals. One that a shell's `&` or nohup ignores by convention, and that is
    /// ignored now, stays ignored.
    ///
    /// # Errors
    ///
    /// What the system says when a handler cannot be installed.
    pub fn catch(signals: &[Signal]) -> io::Result<Self> {
        let ignored = ignored();
        let stays_ignored = |signal: Signal| {
            matches!(signal, Signal::Int | Signal::Hup | Signal::Xfsz) && contains(ignored, signal)
        };
        let signals = signals.iter().filter(|&&signal| !stays_ignored(signal));
        let set = signals.clone().map(|&signal| signal as i32);
        Ok(Self {
            set: set
                .map(nix::sys::signal::Signal::try_from)
                .collect::<Result<_, _>>()?,
            caught: async_signal::Signals::new(signals)?,
        })
    }

    /// Calls `hear` with each of them for the rest of the process's life, on a thread of this name.
    ///
    /// # Errors
    ///
    /// What the system says when there is no thread to be had.
    pub fn watch(
        mut self,
        thread: &str,
        mut hear: impl FnMut(Signal) + Send + 'static,
    ) -> io::Result<()> {
        let hear_all = async move {
            while let Ok(signal) = self.next().await {
                hear(signal);
            }
        };
        thread::Builder::new()
            .name(thread.into())
            .spawn(|| smol::block_on(hear_all))?;
        Ok(())
    }

    /// Waits for the next one. The calling thread has them unblocked from then on: a parent may have
    /// blocked them, and one thread that has not is enough for the system to deliver them. Cancel-safe.
    ///
    /// # Errors
    ///
    /// What the system says when they cannot be heard.
    pub async fn next(&mut self) -> io::Result<Signal> {
        self.set.thread_unblock()?;
        match self.caught.next().await {
            Some(signal) => signal,
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The signals that the process ignores, a bit each, the lowest for number 1. None where no proc(5)
/// tells of them.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    parse_ignored(&status).unwrap_or_default()
}

fn parse_ignored(status: &str) -> Option<u64> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn contains(mask: u64, signal: Signal) -> bool {
    mask & 1 << (signal as u32 - 1) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status =
            "SigBlk:\t0000000000000003\nSigIgn:\t0000000001001002\nSigCgt:\t0000000000000001\n";
        let mask = parse_ignored(status).expect("a mask");
        for (signal, is_ignored) in [
            (Signal::Hup, false),
            (Signal::Int, true),
            (Signal::Pipe, true),
            (Signal::Term, false),
            (Signal::Xfsz, true),
        ] {
            assert_eq!(contains(mask, signal), is_ignored, "{signal:?}");
        }
        assert_eq!(parse_ignored("SigIgn:\tnone\n"), None);
        assert_eq!(parse_ignored(""), None);
    }
}
