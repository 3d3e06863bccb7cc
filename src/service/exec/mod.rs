//! A child process for each connection.

mod link;
mod pipes;
mod run;
mod sources;
mod variables;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::future::Future;
use std::io;
use std::process::ExitStatus;
use std::sync::Arc;

use futures_lite::{AsyncRead, AsyncWrite};

use crate::connection::{Connection, Peer};
use crate::process::Program;
use sources::Sources;

/// Runs a program for each connection, with the connection as its standard input and output, as
/// inetd and tcpserver do.
///
/// ```no_run
/// use halves::{Executor, bind, serve};
/// use halves::service::Exec;
///
/// fn main() -> std::io::Result<()> {
///     let ex = Executor::new();
///     let exec = Exec::new("rev")?;
///     ex.block_on(async {
///         serve(&ex, bind("127.0.0.1:50007").await?, move |c| exec.serve(c)).await
///     })?;
///     Ok(())
/// }
/// ```
///
/// # Attributes of a child
///
/// | attribute | value |
/// |---|---|
/// | descriptors 0 and 1 | the socket itself, in blocking mode, if the connection is a [plain socket](Connection::is_socket); else two pipes, between which and the connection the server copies |
/// | descriptor 2 | standard error of this process |
/// | other descriptors | none (before Linux 5.11: those that were opened without close-on-exec) |
/// | process group | its own |
/// | signals | none is blocked, all have their default action, also `SIGPIPE` |
/// | limit of open files | that of this process, or [`open_files`](Self::open_files) |
/// | environment | that of this process at [`new`](Self::new), the changes of [`env`](Self::env) and [`env_remove`](Self::env_remove), and the variables below |
///
/// Pipes are also used for a socket from which bytes were read ahead, and where a time limit
/// depends on reads that only a copy shows: the minimum rate; the idle timeout on a Unix socket,
/// and on systems other than Linux.
///
/// # Variables
///
/// The variables of one kind are removed if the connection is of another one.
///
/// | kind | variables |
/// |---|---|
/// | TCP | `PROTO=TCP`, `TCPLOCALIP`, `TCPLOCALPORT`, `TCPREMOTEIP`, `TCPREMOTEPORT`, `TCPCONNNUM` (the children of this address, this one included), `REMOTE_ADDR`, `REMOTE_PORT` |
/// | Unix sockets | `PROTO=UNIX`, `UNIXLOCALPATH`, `UNIXREMOTEUID`, `UNIXREMOTEGID`, `UNIXREMOTEPID` |
/// | TLS | `SSL_PROTOCOL`, `SSL_CIPHER`, `SSL_TLS_SNI_SERVERNAME`, `SSL_ALPN`, `SSL_PEER_CERT_HASH` (`sha256:` and hexadecimal digits), `SSL_PEER_CERT_SUBJECT`; only those that are known |
///
/// After a PROXY header the remote address is that of the real client. Also removed are
/// `TCPLOCALHOST`, `TCPREMOTEHOST`, `TCPREMOTEINFO`, and the variables for this process alone:
/// `LISTEN_*`, `NOTIFY_SOCKET` and `WATCHDOG_*`.
///
/// # The end
///
/// The connection ends when the child exits, in order: the client reads what the child wrote, and
/// then the end. The rest of the child's process group is killed first. A process that has left the
/// group, by setsid(2), runs on, without a connection: the server shuts the socket down, and copies
/// no more of the pipes than they hold at the exit.
///
/// | event | effect |
/// |---|---|
/// | exit status 0 | reason `eof` if the client has ended its side, else `handler` |
/// | another status, or a signal | reason `child`; [`Exited`] has the status |
/// | the client ends its side | the child reads the end of its input, and runs on |
/// | the client resets the connection | reads or writes of the child fail; with pipes, it reads the end of its input |
/// | the child closes its output | nothing while it has the socket; the client reads the end if there are pipes |
/// | idle timeout, lifetime, [`Handle::kill`](crate::Handle::kill) and the like | the process group is killed |
/// | drain | nothing; at its deadline SIGTERM for the process group, and 2 seconds later SIGKILL and a reset |
/// | the program cannot be started | reason `error`; the client reads the end |
///
/// # Bytes and time
///
/// If a child has the socket, the kernel counts the bytes of a TCP connection, and knows its idle
/// time ([`Connection::into_socket`]). Those of a Unix socket are not counted.
#[derive(Clone)]
pub struct Exec(Arc<Settings>);

#[derive(Clone)]
struct Settings {
    program: Arc<Program>,
    sources: Sources,
    /// Makes further variables for a connection.
    variables: Option<Arc<VariablesHook>>,
    started: Option<Arc<StartedHook>>,
}

type VariablesHook = dyn Fn(&Peer) -> Vec<(OsString, OsString)> + Send + Sync;
type StartedHook = dyn Fn(&Peer, u32) + Send + Sync;

/// The end of the child of a connection, as an [extension](Peer::extension) of its peer.
///
/// # Examples
///
/// ```
/// use futures_lite::AsyncReadExt;
/// use halves::listener::memory;
/// use halves::service::{Exec, Exited};
///
/// # smol::block_on(async {
/// let exec = Exec::new("sh")?.args(["-c", "exit 3"])?;
/// let (_client, server) = memory::pair(64);
/// let peer = server.peer.clone();
/// exec.serve(server).await?;
/// let exited = peer.extension::<Exited>().expect("a child");
/// assert_eq!(exited.status.code(), Some(3));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exited {
    /// The process id that the child had.
    pub id: u32,
    /// The exit status, or the signal that ended the child.
    pub status: ExitStatus,
}

impl Exec {
    /// Finds the program. A name without a slash is searched for in `PATH`, now and not again. The
    /// children get the present environment of this process.
    ///
    /// A script without `#!` is run by `/bin/sh`. If this process ignores `SIGCHLD`, which makes Linux
    /// discard exit statuses, that signal gets its default action.
    ///
    /// # Errors
    ///
    /// An error that names the program, if there is no such file, or it cannot be executed.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::service::Exec;
    ///
    /// let error = Exec::new("no-such-program").unwrap_err();
    /// assert_eq!(error.to_string(), "no-such-program: not found in PATH");
    /// ```
    pub fn new(program: impl AsRef<OsStr>) -> io::Result<Self> {
        let mut program = Program::find(program.as_ref())?;
        for (name, value) in env::vars_os() {
            if !variables::is_removed(&name) {
                program.set_variable(&name, &value)?;
            }
        }
        Ok(Self(Arc::new(Settings {
            program: Arc::new(program),
            sources: Sources::default(),
            variables: None,
            started: None,
        })))
    }

    /// Adds arguments.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if one contains a zero byte.
    ///
    /// # Examples
    ///
    /// ```
    /// let exec = halves::service::Exec::new("tr")?.args(["a-z", "A-Z"])?;
    /// # drop(exec);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> io::Result<Self> {
        let program = self.program();
        for arg in args {
            program.add_arg(arg.as_ref())?;
        }
        Ok(self)
    }

    /// Sets a variable of every child. The variables of a connection replace it.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it contains a zero byte.
    ///
    /// # Examples
    ///
    /// ```
    /// let exec = halves::service::Exec::new("env")?.env("LANG", "C")?;
    /// # drop(exec);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> io::Result<Self> {
        let program = self.program();
        program.set_variable(name.as_ref(), value.as_ref())?;
        Ok(self)
    }

    /// Removes a variable of every child.
    ///
    /// # Examples
    ///
    /// ```
    /// let exec = halves::service::Exec::new("env")?.env_remove("LANG");
    /// # drop(exec);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.program().remove_variable(name.as_ref());
        self
    }

    /// Calls `variables` for further variables of each child. They replace others of the same name.
    /// It is called on a thread that may block. A variable that contains a zero byte is left out.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::service::Exec;
    ///
    /// let exec = Exec::new("env")?;
    /// let exec = exec.env_with(|peer| vec![("CONNECTION".into(), peer.id().to_string().into())]);
    /// # drop(exec);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn env_with(
        mut self,
        variables: impl Fn(&Peer) -> Vec<(OsString, OsString)> + Send + Sync + 'static,
    ) -> Self {
        self.settings().variables = Some(Arc::new(variables));
        self
    }

    /// Calls `started` with the process id of each child, when it is started. It must not block.
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::service::Exec;
    ///
    /// let exec = Exec::new("cat")?.on_start(|peer, id| println!("pid {id} from {peer}"));
    /// # drop(exec);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn on_start(mut self, started: impl Fn(&Peer, u32) + Send + Sync + 'static) -> Self {
        self.settings().started = Some(Arc::new(started));
        self
    }

    /// Sets the soft limit of open files of the children, at most to the hard limit. For a server
    /// that has raised its own limit.
    ///
    /// # Examples
    ///
    /// ```
    /// let exec = halves::service::Exec::new("cat")?.open_files(1024);
    /// # drop(exec);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn open_files(mut self, max_files: u64) -> Self {
        self.program().limit_open_files(max_files);
        self
    }

    /// Serves one connection with one child, and returns when the child has exited.
    ///
    /// The child is killed, with its process group, if the future is dropped.
    ///
    /// # Errors
    ///
    /// * The program cannot be started.
    /// * Where pipes are used: the errors of the halves. The child reads or writes the end then, and
    ///   has exited when this returns.
    ///
    /// A child that fails is no error: see [`Exited`].
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
    /// use halves::listener::memory;
    /// use halves::service::Exec;
    ///
    /// # smol::block_on(async {
    /// let exec = Exec::new("tr")?.args(["a-z", "A-Z"])?;
    /// let (mut client, server) = memory::pair(64);
    /// let asks = async {
    ///     client.writer.write_all(b"hello").await?;
    ///     client.writer.close().await?;
    ///     let mut answer = String::new();
    ///     client.reader.read_to_string(&mut answer).await?;
    ///     assert_eq!(answer, "HELLO");
    ///     std::io::Result::Ok(())
    /// };
    /// let serves = async { exec.serve(server).await };
    /// future::try_zip(asks, serves).await?;
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn serve<R, W>(
        self,
        connection: Connection<R, W>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        run::serve(self.0, connection)
    }

    fn settings(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.0)
    }

    fn program(&mut self) -> &mut Program {
        Arc::make_mut(&mut self.settings().program)
    }
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exec").field(&self.0.program).finish()
    }
}
