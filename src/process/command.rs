//! `Command`: a program to run, and its connection.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process;
use std::sync::Arc;

use rustix::process::Pid;

use super::child::Child;
use super::child_process::ChildProcess;
use super::link::ChildLink;
use super::{before_exec, orphans};
use crate::connection::{Connection, Endpoint, Peer, flush_on_close};
use crate::descriptor::{FdReader, FdWriter};

/// A program to run as the other end of a connection.
///
/// Environment, directory, user and standard error are set on a [`std::process::Command`], which is
/// converted by [`from`](Self::from).
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
/// let mut output = String::new();
/// connection.reader.read_to_string(&mut output).await?;
/// assert_eq!(output, "hello\n");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Command {
    command: process::Command,
    socketpair: bool,
}

impl Command {
    /// Creates a command for a program. A name without a slash is searched for in `PATH`.
    ///
    /// # Examples
    ///
    /// ```
    /// let child = halves::process::Command::new("true").spawn()?;
    /// assert!(smol::block_on(child.wait())?.success());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        process::Command::new(program).into()
    }

    /// Adds arguments.
    ///
    /// # Examples
    ///
    /// ```
    /// let child = halves::process::Command::new("test").args(["a", "=", "a"]).spawn()?;
    /// assert!(smol::block_on(child.wait())?.success());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Uses one socket as standard input and output of the child, instead of two pipes, for
    /// programs that require a socket. Closing the writer ends the child's input as with a pipe.
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

    /// Sets the soft limit of open files for the child, at most to the hard limit. By default the
    /// child inherits the limit of this process. For a server that has raised its own limit.
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
    pub fn open_files(mut self, max_files: u64) -> Self {
        before_exec::limit_open_files(&mut self.command, max_files);
        self
    }

    /// Runs the program and connects to its standard input and output. Blocks for about a
    /// millisecond.
    ///
    /// The [`Peer`] of the connection is the process. Its [`Link`](crate::connection::Link) ends
    /// the process with the connection, see the [module](super).
    ///
    /// # Errors
    ///
    /// The error of the system if the program cannot run, or no descriptors are left. No process
    /// runs in that case.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::AsyncReadExt;
    /// use halves::process::Command;
    ///
    /// # smol::block_on(async {
    /// let (mut connection, child) = Command::new("echo").args(["hello"]).connect()?;
    /// let mut output = String::new();
    /// connection.reader.read_to_string(&mut output).await?;
    /// assert_eq!(output, "hello\n");
    /// assert!(child.wait().await?.success());
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn connect(mut self) -> io::Result<(Connection, Child)> {
        // Before the program runs, so that no process runs if this fails.
        let (reader, writer) = if self.socketpair {
            self.set_socket()
        } else {
            self.set_pipes()
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

    /// Runs the program with the standard streams of the [`std::process::Command`], in a process
    /// group of its own, with the other attributes of a child (see the [module](super)). For a
    /// child that has a socket already or needs no connection. Blocks for about a millisecond.
    ///
    /// # Errors
    ///
    /// The error of the system if the program cannot run.
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
        let pid_of = |child: &process::Child| Pid::from_child(child);
        let mut child = orphans::start(|| self.command.spawn(), pid_of)?;
        let pid = pid_of(&child);
        let process = ChildProcess::new(pid, None);
        let stderr = child.stderr.take().map(FdReader::new).transpose()?;
        Ok(Child::new(process, stderr))
        // Dropping the command closes the child's ends of its streams here.
    }

    fn set_pipes(&mut self) -> io::Result<(OwnedFd, OwnedFd)> {
        let (reader, stdout) = io::pipe()?;
        let (stdin, writer) = io::pipe()?;
        self.command.stdin(stdin).stdout(stdout);
        Ok((reader.into(), writer.into()))
    }

    fn set_socket(&mut self) -> io::Result<(OwnedFd, OwnedFd)> {
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
