//! `halves tcpserver`, and the command under the name `tcpserver`: the flags, messages and exit codes
//! of tcpserver.

mod flags;
mod messages;
mod names;
mod run;

use std::env;
use std::ffi::OsString;
use std::path::Path;

use self::flags::{FlagError, Flags, USAGE, Verbosity};
use self::messages::Messages;
use super::format::Format;
use super::log::Level;
use super::{print, with_log};

const NAME: &str = "tcpserver";

/// Bad usage.
const EXIT_USAGE: u8 = 100;
/// The server could not start, or failed.
const EXIT_FATAL: u8 = 111;

const HELP: &str = "\
Usage: halves tcpserver [FLAGS] HOST PORT PROGRAM [ARGS...]

Run PROGRAM for each TCP connection, with the connection as its standard input and output.
HOST 0 is every interface of IPv4, and PORT 0 a free port. The flags are those of tcpserver:

  -q -Q -v          log nothing, errors (default), or the status of each connection
  -c N              run at most N programs; further clients wait (default 40)
  -b N              let about N clients wait in the system (default 20)
  -B BANNER         send BANNER to each client first
  -u UID -g GID     change user and group after the port is open; -U takes $UID and $GID
  -1                print the port to standard output
  -h -H             look up the name of the client for $TCPREMOTEHOST (default), or do not
  -p -P             drop that name unless it has the client's address, or do not (default)
  -l NAME           set $TCPLOCALHOST instead of looking it up
  -d -D             delay small writes (default), or do not
  -r -R -t N -o -O  accepted without effect; there are no IDENT lookups

-x and -X are refused: rules are --allow and --deny of halves exec.
TERM ends the server, and programs go on. INT also ends the programs.
Exit codes: 0 ended by TERM, 100 bad usage, 111 could not start or failed.
";

/// Returns the words after the name, if the command is called as tcpserver.
pub(super) fn words() -> Option<Vec<OsString>> {
    let mut words = env::args_os();
    let program = words.next().unwrap_or_default();
    let is_called = Path::new(&program).file_name() == Some(NAME.as_ref());
    if is_called || words.next().is_some_and(|word| word == NAME) {
        return Some(env::args_os().skip(if is_called { 1 } else { 2 }).collect());
    }
    None
}

/// Serves until a signal, and returns the exit code.
pub(super) fn run(words: &[OsString]) -> u8 {
    let flags = match Flags::parse(words) {
        Err(FlagError::Help) => return print(HELP),
        flags => flags,
    };
    with_log(Format::Text, Level::Normal, |log| {
        let messages = |verbosity| Messages::new(log.lines().clone(), verbosity);
        let (text, usage) = match flags {
            Ok(flags) => {
                let messages = messages(flags.verbosity);
                return run::run(flags, &messages, log);
            }
            Err(FlagError::Unsupported(text)) => (Some(format!("fatal: {text}")), None),
            Err(FlagError::Usage(text)) => (text, Some(USAGE)),
            Err(FlagError::Help) => (None, Some(USAGE)),
        };
        let messages = messages(Verbosity::Errors);
        for line in [text.as_deref(), usage].into_iter().flatten() {
            messages.problem(line);
        }
        EXIT_USAGE
    })
}
