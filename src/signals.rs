//! `Signals`: catches signals of the process, and unblocks them in the thread that waits for them.

use std::fs;
use std::io;
use std::thread;

use async_signal::Signal;
use futures_lite::StreamExt;
use nix::sys::signal::SigSet;

/// Caught signals. They stay pending until [`watch`](Self::watch) or [`next`](Self::next) takes
/// them.
///
/// For the command; not part of the library's interface.
#[derive(Debug)]
pub struct Signals {
    caught: async_signal::Signals,
    set: SigSet,
}

impl Signals {
    /// Catches these signals. INT, HUP and XFSZ stay ignored if they are ignored now, by the
    /// convention of nohup and of `&` in a shell.
    ///
    /// # Errors
    ///
    /// Returns the error of the system if a handler cannot be installed.
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

    /// Calls `on_signal` with each signal, for the rest of the process, on a thread of this name.
    ///
    /// # Errors
    ///
    /// Returns the error of the system if the thread cannot be started.
    pub fn watch(
        mut self,
        thread: &str,
        mut on_signal: impl FnMut(Signal) + Send + 'static,
    ) -> io::Result<()> {
        let forward = async move {
            while let Ok(signal) = self.next().await {
                on_signal(signal);
            }
        };
        thread::Builder::new()
            .name(thread.into())
            .spawn(|| smol::block_on(forward))?;
        Ok(())
    }

    /// Waits for the next signal. First unblocks the signals in the calling thread: the parent
    /// process may have blocked them, and the system delivers a signal if one thread has it
    /// unblocked. Cancel-safe.
    ///
    /// # Errors
    ///
    /// Returns the error of the system if the signals cannot be unblocked or read.
    pub async fn next(&mut self) -> io::Result<Signal> {
        self.set.thread_unblock()?;
        match self.caught.next().await {
            Some(signal) => signal,
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Returns the signals that the process ignores as a bit mask, the lowest bit for signal 1. Returns
/// 0 without proc(5).
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

/// Returns true if the process ignores this signal. Returns false without proc(5).
#[cfg(target_os = "linux")]
pub(crate) fn is_ignored(signal: Signal) -> bool {
    contains(ignored(), signal)
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
