//! The arguments: what they may be, and what they mean.

use std::ffi::OsString;
use std::num::NonZero;
use std::os::fd::RawFd;
use std::str::FromStr;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use halves::Address;

use super::format::Format;
use super::log::Level;
use super::rules::Given;
use super::services::Service;
use super::together;
use super::values::{
    PerSource, address, count, deadline, descriptor, duration, given, number, threads, word,
};
use super::words::Words;

/// What the arguments ask for.
#[derive(Debug)]
pub(super) enum Request {
    Serve(Box<Serve>),
    /// Help, or the version.
    Print(String),
}

/// Where the seed of all this listened.
const ADDRESS: &str = "127.0.0.1:50007";

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    help_triggers("-h", "--help", "help"),
    description = "Serve any byte stream.\n\n\
        Without arguments: halves serve upper --listen 127.0.0.1:50007",
    example = "{command_name}\n\
        {command_name} serve echo --listen :7\n\
        {command_name} serve --help"
)]
struct Halves {
    /// print the version
    #[argh(switch, short = 'V')]
    version: bool,
    #[argh(subcommand)]
    command: Option<Command>,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
enum Command {
    Serve(Serve),
}

/// Run a built-in service on one or more addresses until stopped by a signal.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "serve",
    help_triggers("-h", "--help", "help"),
    usage = "SERVICE [OPTIONS]",
    example = "{command_name} upper\n\
        {command_name} echo --listen 127.0.0.1:7000 --listen [::1]:7000\n\
        {command_name} upper --listen /run/upper.sock,mode=0660,group=web --listen @upper\n\
        {command_name} upper --listen sd-listen:web --listen fd:5\n\
        {command_name} upper --listen - <request >reply\n\
        {command_name} discard --listen :9 --max-connections 100 --log json\n\
        {command_name} echo --listen :7 --max-per-source 40/24/56 --idle-timeout 5m\n\
        {command_name} echo --listen :7 --allow 10.0.0.0/8 --deny @/etc/halves.deny\n\
        taskset -c 2,3 {command_name} upper --threads 2",
    note = "An ADDRESS is one of these:\n\
        \x20 PORT                  TCP on this machine only; 0 is a free one\n\
        \x20 HOST:PORT, [V6]:PORT  TCP there\n\
        \x20 :PORT, [::]:PORT      TCP on every interface; IPv6 alone where 0.0.0.0:PORT is\n\
        \x20                       there, too\n\
        \x20                       TCP may have [,keepalive=30s][,backlog=4096][,nagle]\n\
        \x20                       [,reuse-port][,v6-only] after it: probes of silent clients,\n\
        \x20                       how many wait to be accepted, small writes that wait for\n\
        \x20                       earlier ones, a port for several servers, [::] without IPv4\n\
        \x20 /PATH, ./PATH, unix:PATH[,mode=0660][,user=NAME][,group=NAME]\n\
        \x20                       a Unix socket; a file that a server left behind is replaced,\n\
        \x20                       ours removed at the end; a comma in a path is written \\,\n\
        \x20 @NAME                 a Unix socket without a file, open to all on this machine\n\
        \x20 fd:N                  descriptor N, open already: a socket that listens, or a\n\
        \x20                       connection; keepalive and nagle may follow\n\
        \x20 sd-listen[:NAME]      the sockets that systemd handed over, all or by name; the same\n\
        \x20                       may follow; those that are not named are closed\n\
        \x20 -                     standard input and output; where both are one socket, as\n\
        \x20                       under inetd or tcpserver, that connection",
    note = "A duration is 50us, 500ms, 10s, 5m, 1h, 1d, 1m30s, 1.5s, or a number of seconds.",
    note = "A file of rules has a network (192.0.2.0/24, 2001:db8::/32) or an address a line;\n\
        empty lines and what follows a # do not count. An allow file that leaves nothing\n\
        allowed is a mistake: it would let in everyone. So is, at HUP, a file that had networks\n\
        and has none.",
    note = "TERM or INT: after the drain delay accept no more, let connections finish, abort what\n\
        is left at the drain timeout. Another one: abort now. INT is not heard where it was\n\
        ignored at the start.",
    note = "HUP: read the files of rules again; a bad one leaves the rules as they are. Who is\n\
        connected stays. USR1: say how many are open and were accepted, why the others ended,\n\
        and bytes in and out. When the terminal is closed, HUP is as TERM, but never a second\n\
        signal. HUP is not heard where it was ignored at the start, as under nohup.",
    note = "Under systemd or its like (NOTIFY_SOCKET): READY, STATUS, RELOADING, STOPPING,\n\
        EXTEND_TIMEOUT_USEC in a drain, and the watchdog (WATCHDOG_USEC).",
    note = "The log is on standard error. If that is slow, lines are dropped and counted.",
    note = "Exit codes: 0 all connections finished, 1 could not start or failed while running,\n\
        2 bad usage, 3 connections were aborted at the drain timeout, 128+N a second signal\n\
        N forced the end (130: INT, 143: TERM)."
)]
pub(super) struct Serve {
    /// upper (answers in capital letters), echo, or discard
    #[argh(positional)]
    pub(super) service: Service,

    /// ADDRESS to listen at, repeatable (default 127.0.0.1:50007)
    #[argh(option, from_str_fn(address))]
    pub(super) listen: Vec<Address>,

    /// at most N are open at a time; further ones wait (default: as the limit of open files
    /// allows)
    #[argh(option, from_str_fn(count))]
    pub(super) max_connections: Option<NonZero<usize>>,

    /// at most N connections of one source are open at a time, others are closed at once; 0 is
    /// any number (default 0). N/V4 or N/V4/V6 also says which addresses are one source: those
    /// with the same first V4 bits (default 32), in IPv6 the same first V6 bits (default 64)
    #[argh(option, default = "PerSource::default()")]
    pub(super) max_per_source: PerSource,

    /// at most N connections of one source in a second, others are closed at once; 0 is any
    /// number (default 0)
    #[argh(option, default = "0", from_str_fn(number))]
    pub(super) accept_rate: u32,

    /// RULE for who may connect, repeatable: a network or an address, or @FILE with one a line.
    /// Without any, all may
    #[argh(option, from_str_fn(given))]
    pub(super) allow: Vec<Given>,

    /// RULE for who may not, repeatable, also among those allowed
    #[argh(option, from_str_fn(given))]
    pub(super) deny: Vec<Given>,

    /// DURATION from accept to the end of the last handshake; plain TCP has none; 0 is off
    /// (default 10s)
    #[argh(option, default = "Duration::from_secs(10)", from_str_fn(duration))]
    pub(super) handshake_timeout: Duration,

    /// DURATION without a byte in either direction that ends a connection; 0 is off (default 0)
    #[argh(option, default = "Duration::ZERO", from_str_fn(duration))]
    pub(super) idle_timeout: Duration,

    /// DURATION that a connection may last, up to a tenth less by chance; 0 is off (default 0)
    #[argh(option, default = "Duration::ZERO", from_str_fn(duration))]
    pub(super) lifetime: Duration,

    /// BYTES that a client must send in a second while the service waits for the rest of a request,
    /// on average over 5 seconds of such waiting; never so for upper and echo, which answer every
    /// byte; 0 is off (default 0)
    #[argh(option, default = "0", from_str_fn(number))]
    pub(super) min_rate: u64,

    /// DURATION after the signal to end in which it still accepts, but is not ready any more
    /// (default 0)
    #[argh(option, default = "Duration::ZERO", from_str_fn(duration))]
    pub(super) drain_delay: Duration,

    /// DURATION that connections may take to finish at the end; 0 is as long as they like
    /// (default 30s)
    #[argh(option, default = "Duration::from_secs(30)", from_str_fn(deadline))]
    pub(super) drain_timeout: Duration,

    /// serve on N threads (default 1)
    #[argh(option, default = "NonZero::<usize>::MIN", from_str_fn(threads))]
    pub(super) threads: NonZero<usize>,

    /// WORD that closes a connection when one read is exactly that (upper only)
    #[argh(option, from_str_fn(word))]
    pub(super) close_word: Option<String>,

    /// FORMAT of the log: text, logfmt or json (default text)
    #[argh(option, default = "Format::Text")]
    pub(super) log: Format,

    /// begin each line of a text log with the time (RFC 3339, UTC), as is done on a terminal
    #[argh(switch)]
    pub(super) log_time: bool,

    /// descriptor N, open already and not below 3, gets an empty line when every listener is
    /// open, and is closed
    #[argh(option, from_str_fn(descriptor))]
    pub(super) ready_fd: Option<RawFd>,

    /// say more: also how each connection begins
    #[argh(switch, short = 'v')]
    verbose: bool,

    /// say trouble only
    #[argh(switch, short = 'q')]
    quiet: bool,
}

/// Reads the arguments, without the command's own name. An error is one line, perhaps long.
pub(super) fn parse(words: impl Iterator<Item = OsString>) -> Result<Request, String> {
    let mut words = words.map(text).collect::<Result<Vec<_>, _>>()?;
    if words.is_empty() {
        words = vec!["serve".into(), "upper".into()];
    }
    if let [serve, version, ..] = &words[..]
        && serve == "serve"
        && ["--version", "-V"].contains(&&**version)
    {
        return Ok(Request::Print(self::version()));
    }
    if let Some(service) = words.first().filter(|word| Service::from_str(word).is_ok()) {
        return Err(format!(
            "'{service}' is a service, not a command; did you mean 'halves serve {service}'?"
        ));
    }
    let words = Words::new(words, &Halves::get_args_info())?;
    if words.lacks_argument {
        return Err(Service::none_given());
    }
    let words: Vec<&str> = words.words.iter().map(String::as_str).collect();
    let halves = match Halves::from_args(&["halves"], &words) {
        Ok(halves) => halves,
        Err(exit) if exit.status.is_ok() => return Ok(Request::Print(exit.output)),
        Err(exit) => return Err(exit.output),
    };
    match halves.command {
        _ if halves.version => Ok(Request::Print(version())),
        Some(Command::Serve(serve)) => serve.checked().map(Box::new).map(Request::Serve),
        None => Err("no command given".into()),
    }
}

impl Serve {
    pub(super) fn level(&self) -> Level {
        match (self.quiet, self.verbose) {
            (true, _) => Level::Quiet,
            (_, true) => Level::Verbose,
            _ => Level::Normal,
        }
    }

    /// What no option can see by itself.
    fn checked(mut self) -> Result<Self, String> {
        if self.close_word.is_some() && self.service != Service::Upper {
            let service = self.service.as_str();
            return Err(format!("--close-word is for upper, not for {service}"));
        }
        if self.verbose && self.quiet {
            return Err("-v and -q contradict each other".into());
        }
        together::check(&mut self.listen, self.ready_fd)?;
        if self.listen.is_empty() {
            self.listen.push(address(ADDRESS)?);
        }
        Ok(self)
    }
}

fn text(word: OsString) -> Result<String, String> {
    word.into_string().map_err(|word| {
        let word = word.to_string_lossy();
        format!("an argument is not UTF-8: {word}")
    })
}

fn version() -> String {
    format!("halves {}\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Request, String> {
        parse(words.iter().map(OsString::from))
    }

    fn serve(words: &[&str]) -> Serve {
        match parsed(words).expect("good usage") {
            Request::Serve(serve) => *serve,
            Request::Print(text) => panic!("printed: {text}"),
        }
    }

    #[test]
    fn no_arguments_serve_the_seed() {
        for words in [&[][..], &["serve", "upper"]] {
            let options = serve(words);
            assert_eq!(options.service, Service::Upper);
            assert_eq!(options.listen, [ADDRESS.parse().expect("an address")]);
            assert_eq!(options.drain_timeout, Duration::from_secs(30));
            assert_eq!((options.threads.get(), options.max_connections), (1, None));
            assert_eq!(
                (options.log, options.level()),
                (Format::Text, Level::Normal)
            );
        }
    }

    #[test]
    fn options_may_carry_their_value() {
        let words = ["serve", "upper", "--close-word=a=b", "--listen=-", "--"];
        let options = serve(&words);
        assert_eq!(options.close_word.as_deref(), Some("a=b"));
        assert_eq!(options.listen, [Address::Stdio]);
        let options = serve(&["serve", "upper", "--close-word", "--a=b"]);
        assert_eq!(options.close_word.as_deref(), Some("--a=b"));
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is_near() {
        let service = "no service given; there are upper (answers in capital letters), echo (sends \
                       back what it reads) and discard (reads and sends nothing): halves serve upper";
        for (words, problem) in [
            (
                &["serv", "upper"][..],
                "there is no command 'serv'; did you mean 'serve'?",
            ),
            (&["lurk"], "there is no command 'lurk'"),
            (&["-", "x"], "there is no option '-'"),
            (
                &["serve", "upper", "--lisen", "4"],
                "there is no option '--lisen'; did you mean '--listen'?",
            ),
            (
                &["serve", "upper", "--max-conections=4"],
                "there is no option '--max-conections'; did you mean '--max-connections'?",
            ),
            (
                &["serve", "upper", "--bogus"],
                "there is no option '--bogus'",
            ),
            (&["serve", "upper", "-x"], "there is no option '-x'"),
            (&["serve", "upper", "-v=1"], "there is no option '-v=1'"),
            (&["serve", "upper", "--quiet=yes"], "--quiet takes no value"),
            (&["--listen=1"], "--listen comes after the command 'serve'"),
            (&["serve"], service),
            (&["serve", "--listen", "1"], service),
            (&["serve", "--listen", "upper"], service),
        ] {
            assert_eq!(parsed(words).expect_err(problem), problem, "{words:?}");
        }
        let problem = parsed(&["serve", "eco"]).expect_err("no service");
        assert!(problem.ends_with(
            "value 'eco': not a service; there are upper, echo and discard; did you mean 'echo'?\n"
        ));
        for words in [&["serve", "-v", "upper"][..], &["serve", "--", "upper"]] {
            assert_eq!(serve(words).service, Service::Upper);
        }
    }

    #[test]
    fn no_drain_timeout_is_no_deadline() {
        let options = serve(&["serve", "echo", "--drain-timeout", "0"]);
        assert_eq!(options.drain_timeout, Duration::MAX);
    }

    #[test]
    fn the_version_is_told_with_and_without_a_command() {
        for words in [
            &["--version"][..],
            &["-V"],
            &["serve", "--version"],
            &["serve", "-V"],
        ] {
            let Ok(Request::Print(text)) = parsed(words) else {
                panic!("{words:?} is not understood");
            };
            assert_eq!(text, version());
        }
        let options = serve(&["serve", "upper", "--close-word", "-V"]);
        assert_eq!(options.close_word.as_deref(), Some("-V"));
    }

    #[test]
    fn help_is_not_an_error() {
        for words in [&["--help"][..], &["-h"], &["serve", "--help"], &["help"]] {
            assert!(matches!(parsed(words), Ok(Request::Print(_))), "{words:?}");
        }
    }
}
