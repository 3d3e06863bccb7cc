//! The service manager's ear: messages go to it, and when they cannot, that is said once.

use std::ffi::OsStr;
use std::fmt::Write;
use std::io;

use sd_notify::NotifyState;

use super::super::format::Line;
use super::super::log::{Level, Lines};
use super::socket::Socket;

/// The service manager.
pub(super) struct Manager {
    socket: Socket,
    /// Of the socket.
    name: String,
    lines: Lines,
    /// It did not hear the last message, which was said.
    unreachable: bool,
}

impl Manager {
    pub(super) fn from_env(lines: &Lines) -> Option<Self> {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
        let manager = Self::new(&name, lines.clone());
        manager
            .inspect_err(|error| complain(lines, &name.to_string_lossy(), error))
            .ok()
    }

    pub(super) fn new(name: &OsStr, lines: Lines) -> io::Result<Self> {
        Ok(Self {
            socket: Socket::new(name)?,
            name: name.to_string_lossy().into_owned(),
            lines,
            unreachable: false,
        })
    }

    /// Says all of these in one message; nothing, where there are none.
    pub(super) async fn send<'a>(&mut self, states: impl IntoIterator<Item = NotifyState<'a>>) {
        self.hear_message(&message(states)).await;
    }

    pub(super) async fn hear_message(&mut self, message: &str) {
        if message.is_empty() {
            return;
        }
        let sent = self.socket.send(message).await;
        let was_unreachable = std::mem::replace(&mut self.unreachable, sent.is_err());
        if let Err(error) = sent
            && !was_unreachable
        {
            complain(&self.lines, &self.name, &error);
        }
    }
}

pub(super) fn message<'a>(states: impl IntoIterator<Item = NotifyState<'a>>) -> String {
    let mut message = String::new();
    for state in states {
        let _ = writeln!(message, "{state}");
    }
    message
}

/// Trouble, and not ours: the service goes on.
fn complain(lines: &Lines, name: &str, error: &io::Error) {
    let line = Line::new("notify_failed")
        .word("socket", name)
        .text("error", error);
    lines.say(Level::Quiet, &line);
}
