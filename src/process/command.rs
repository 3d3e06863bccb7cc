//! What is to be run, and how it becomes a connection.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process;
use std::sync::Arc;

use super::child::{Child, Process};
use super::link::ChildLink;
use super::{before_exec, orphans};
use crate::connection::{Connection, Endpoint, Peer, flush_on_close};
use crate::descriptor::{FdReader, FdWriter};

/// A program to be run as the other end of a connection.
///
/// Its environment, directory, user and standard error are those of the [`std::process::Command`]
/// that it is made [`from`](Self::from).
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncReadExt;
/// use halves::process::Command;
///
/// let mut command = std::process::Command::new("sh");
/// command.args(["-c", "echo $GREETING"]).env("GREETING", "hello");
/// # smol::block_on(async {
/// let (mut connection, _child) = Command::from(command).connect()?;
/// let mut said = String::new();
/// connection.reader.read_to_string(&mut said).await?;
/// assert_eq!(said, "hello\n");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Command {
    command: process::Command,
    socketpair: bool,
}

impl Command {
    /// A program, which is looked for in `PATH` if its name has no slash.
    ///
    /// # Examples
    ///
    /// See the [module](super).
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        process::Command::new(program).into()
    }

    /// Adds arguments.
    ///
    /// # Examples
    ///
    /// See the [module](super).
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Connects by one socket, the same for the child's standard input and output, instead of two
    /// pipes: for programs that ask for one. Closing the writer ends the child's input alike.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::process::Command;
    ///
    /// let mut command = std::process::Command::new("test");
    /// command.args(["-S", "/dev/stdin"]);
    /// let (_connection, child) = Command::from(command).socketpair().connect()?;
    /// assert!(smol::block_on(child.wait())?.success());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn socketpair(mut self) -> Self {
        self.socketpair = true;
        self
    }

    /// How many files the child may have open, by its soft limit: for a server that has raised its
    /// own, and gives its children what it was given. Without this they have what it has.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::AsyncReadExt;
    /// use halves::process::Command;
    ///
    /// # smol::block_on(async {
    /// let command = Command::new("sh").args(["-c", "ulimit -Sn"]).open_files(64);
    /// let (mut connection, _child) = command.connect()?;
    /// let mut limit = String::new();
    /// connection.reader.read_to_string(&mut limit).await?;
    /// assert_eq!(limit, "64\n");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn open_files(mut self, most: u64) -> Self {
        before_exec::limit_open_files(&mut self.command, most);
        self
    }

    /// Runs it, and connects to its standard input and output. That takes this thread about a
    /// millisecond.
    ///
    /// The connection's [`Peer`] is the process; its [`Link`](crate::connection::Link) ends the process with
    /// the connection, as the [module](super) says.
    ///
    /// # Errors
    ///
    /// What the system says when it cannot be run, or there are no descriptors left. Then nothing
    /// runs.
    ///
    /// # Examples
    ///
    /// See the [module](super).
    pub fn connect(mut self) -> io::Result<(Connection, Child)> {
        // Before it runs, so that nothing runs where this fails.
        let (reader, writer) = if self.socketpair {
            self.plug_socket()
        } else {
            self.plug_pipes()
        }?;
        let reader = FdReader::new(reader)?;
        let output = reader.watched();
        let (writer, input) = flush_on_close(FdWriter::new(writer)?);
        let child = self.spawn()?;
        let link = ChildLink::new(child.process().clone(), input, output);
        let process = Endpoint::Process(child.id());
        let peer = Peer::new(process, Endpoint::Unknown).with_link(Arc::new(link));
        let connection = Connection::from_parts(reader, writer, peer).erase();
        Ok((connection, child))
    }

    /// Runs it with the standard streams that the [`std::process::Command`] names, in a group of
    /// its own and with all else that a child is given: for one that has a socket itself, or
    /// needs no connection. That takes this thread about a millisecond.
    ///
    /// # Errors
    ///
    /// What the system says when it cannot be run.
    ///
    /// # Examples
    ///
    /// ```
    /// let child = halves::process::Command::new("true").spawn()?;
    /// assert!(smol::block_on(child.wait())?.success());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn(mut self) -> io::Result<Child> {
        self.command.process_group(0);
        let mut child = orphans::spawn(&mut self.command)?;
        let process = Process::new(&child);
        let stderr = child.stderr.take().map(FdReader::new).transpose()?;
        Ok(Child::new(process, stderr))
        // The child's ends of its streams go with the command.
    }

    fn plug_pipes(&mut self) -> io::Result<(OwnedFd, OwnedFd)> {
        let (reader, stdout) = io::pipe()?;
        let (stdin, writer) = io::pipe()?;
        self.command.stdin(stdin).stdout(stdout);
        Ok((reader.into(), writer.into()))
    }

    fn plug_socket(&mut self) -> io::Result<(OwnedFd, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        let [again, stdin] = [ours.try_clone()?, theirs.try_clone()?].map(OwnedFd::from);
        self.command.stdin(stdin).stdout(OwnedFd::from(theirs));
        Ok((ours.into(), again))
    }
}

impl From<process::Command> for Command {
    fn from(command: process::Command) -> Self {
        Self {
            command,
            socketpair: false,
        }
    }
}
