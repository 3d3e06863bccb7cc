//! The arguments of the command and their help.

use std::ffi::OsString;
use std::num::NonZero;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use halves::limits::Net;
use halves::tls::{self, ClientAuth};

use super::format::Format;
use super::listen_address::ListenAddress;
use super::log::Level;
use super::rules::RuleSource;
use super::service::{Service, no_service_given};
use super::values::{
    PerSource, ProxyVersion, count, deadline, descriptor, duration, net, number, protocol, rule,
    threads, word,
};
use super::words::Words;
use super::{conflicts, layers};

/// The request that the arguments make.
#[derive(Debug)]
pub(super) enum Request {
    Serve(Box<Serve>),
    /// Help, or the version.
    Print(String),
}

/// The address without `--listen`.
const DEFAULT_ADDRESS: &str = "127.0.0.1:50007";

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
    command: Option<Subcommand>,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
enum Subcommand {
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
        {command_name} upper --listen :443 --tls-cert a.pem --tls-key a.key\n\
        {command_name} echo --listen :7 --proxy-protocol v2 --trust-proxy 10.0.0.0/8\n\
        taskset -c 2,3 {command_name} upper --threads 2",
    note = "An ADDRESS is one of these:\n\
        \x20 PORT                  TCP on 127.0.0.1 only; port 0 picks a free port\n\
        \x20 HOST:PORT, [V6]:PORT  TCP at that host or IP address\n\
        \x20 :PORT, [::]:PORT      TCP on every interface, over IPv6 and IPv4; over IPv6 only if\n\
        \x20                       0.0.0.0:PORT is listed, too\n\
        \x20                       A TCP address may be followed by ,keepalive=30s (probe idle\n\
        \x20                       clients) ,backlog=4096 (clients that wait for an accept)\n\
        \x20                       ,nagle (delay small writes) ,reuse-port (share the port with\n\
        \x20                       other servers) ,v6-only ([::] without IPv4)\n\
        \x20 /PATH, ./PATH, unix:PATH[,mode=0660][,user=NAME][,group=NAME]\n\
        \x20                       a Unix socket; replaces the file of a dead server and removes\n\
        \x20                       its own file at the end; write a comma in a path as \\,\n\
        \x20 @NAME                 a Unix socket without a file, open to every local user\n\
        \x20 fd:N                  the open descriptor N, a listening socket or a connection;\n\
        \x20                       may be followed by ,keepalive and ,nagle\n\
        \x20 sd-listen[:NAME]      the sockets that systemd passes, all or by name; may be\n\
        \x20                       followed by the same; sockets that are not listed are closed\n\
        \x20 -                     standard input and output; if both are one socket, as under\n\
        \x20                       inetd or tcpserver, the connection on it\n\
        \x20 Any of these may be followed by ,tls=off and ,proxy=off: it has no TLS in spite of\n\
        \x20 --tls-cert, and expects no header in spite of --proxy-protocol.",
    note = "A DURATION is 50us, 500ms, 10s, 5m, 1h, 1d, 1m30s, 1.5s, or a number of seconds.",
    note = "A rule file has a network (192.0.2.0/24, 2001:db8::/32) or an address on each line;\n\
        # starts a comment, and empty lines do not count. Files of --allow that leave nothing\n\
        allowed are an error, because every client could connect. A reload fails if a file\n\
        that had networks has none.",
    note = "TERM and INT: keep accepting for the drain delay, then accept no more and let\n\
        connections finish, then reset what is left at the drain timeout. A second signal\n\
        resets all connections now. INT has no effect if it was ignored at the start.",
    note = "HUP: reload the rule files and the files of --tls-*. If one is bad, nothing changes.\n\
        Open connections stay. If the terminal closes, HUP acts as a first TERM. HUP has no\n\
        effect if it was ignored at the start, as under nohup. USR1: log the number of open,\n\
        accepted and ended connections, the latter by reason, and of bytes in and out.",
    note = "Under systemd and similar managers (NOTIFY_SOCKET): sends READY, STATUS, RELOADING,\n\
        STOPPING, EXTEND_TIMEOUT_USEC during a drain, and watchdog messages (WATCHDOG_USEC).",
    note = "The log goes to standard error. If that is slow, lines are dropped and counted.",
    note = "Exit codes: 0 all connections finished, 1 could not start or failed while running,\n\
        2 bad usage, 3 connections were aborted at the drain timeout, 128+N a second signal\n\
        N forced the end (130: INT, 143: TERM)."
)]
pub(super) struct Serve {
    /// one of the services below
    #[argh(positional)]
    pub(super) service: Service,

    /// listen on ADDRESS; repeatable (default 127.0.0.1:50007)
    #[argh(option)]
    pub(super) listen: Vec<ListenAddress>,

    /// keep at most N connections open; further clients wait (default: from the limit of open
    /// files)
    #[argh(option, from_str_fn(count))]
    pub(super) max_connections: Option<NonZero<usize>>,

    /// keep at most N connections of one source open, and close others at once; 0 is unlimited
    /// (default 0). N/V4 and N/V4/V6 set the bits of an address that identify a source: V4 for
    /// IPv4 (default 32), V6 for IPv6 (default 64)
    #[argh(option, default = "PerSource::default()")]
    pub(super) max_per_source: PerSource,

    /// accept at most N connections of one source in a second, and close others at once; 0 is
    /// unlimited (default 0)
    #[argh(option, default = "0", from_str_fn(number))]
    pub(super) accept_rate: u32,

    /// allow clients that match RULE: a network, an address, or @FILE with one of these on each
    /// line; repeatable. Without --allow, everyone may connect
    #[argh(option, from_str_fn(rule))]
    pub(super) allow: Vec<RuleSource>,

    /// deny clients that match RULE; repeatable. --deny overrides --allow
    #[argh(option, from_str_fn(rule))]
    pub(super) deny: Vec<RuleSource>,

    /// end a connection if its PROXY header or its TLS handshake takes longer than DURATION; 0 is
    /// off (default 10s)
    #[argh(option, default = "Duration::from_secs(10)", from_str_fn(duration))]
    pub(super) handshake_timeout: Duration,

    /// end a connection after DURATION without a byte in either direction; 0 is off (default 0)
    #[argh(option, default = "Duration::ZERO", from_str_fn(duration))]
    pub(super) idle_timeout: Duration,

    /// end a connection after DURATION, or up to a tenth earlier at random; 0 is off (default 0)
    #[argh(option, default = "Duration::ZERO", from_str_fn(duration))]
    pub(super) lifetime: Duration,

    /// end a connection if the client sends less than BYTES per second while the service waits for
    /// the rest of a request, on average over 5 seconds of such waiting; no effect on upper and
    /// echo, which answer every byte; 0 is off (default 0)
    #[argh(option, default = "0", from_str_fn(number))]
    pub(super) min_rate: u64,

    /// after the first signal, keep accepting for DURATION, but report not ready (default 0)
    #[argh(option, default = "Duration::ZERO", from_str_fn(duration))]
    pub(super) drain_delay: Duration,

    /// give connections DURATION to finish at the end, then abort them; 0 is unlimited (default
    /// 30s)
    #[argh(option, default = "Duration::from_secs(30)", from_str_fn(deadline))]
    pub(super) drain_timeout: Duration,

    /// serve on N threads (default 1)
    #[argh(option, default = "NonZero::<usize>::MIN", from_str_fn(threads))]
    pub(super) threads: NonZero<usize>,

    /// close a connection when one read yields exactly WORD (upper only)
    #[argh(option, from_str_fn(word))]
    pub(super) close_word: Option<String>,

    /// write the log as FORMAT: text, logfmt or json (default text)
    #[argh(option, default = "Format::Text")]
    pub(super) log: Format,

    /// begin each line of a text log with the time (RFC 3339, UTC); always on at a terminal
    #[argh(switch)]
    pub(super) log_time: bool,

    /// write an empty line to the open descriptor N when all listeners are open, then close it; N
    /// is at least 3
    #[argh(option, from_str_fn(descriptor))]
    pub(super) ready_fd: Option<RawFd>,

    /// serve TLS with the certificates of FILE, in PEM: the server's first, then those that signed
    /// it; repeatable, with one --tls-key each. A client gets the certificate for the name that it
    /// asks for, or else the first
    #[argh(option, arg_name = "file")]
    pub(super) tls_cert: Vec<PathBuf>,

    /// the private key of the --tls-cert at the same position, in PEM and not encrypted
    #[argh(option, arg_name = "file")]
    pub(super) tls_key: Vec<PathBuf>,

    /// require a client certificate that an authority in FILE has signed
    #[argh(option, arg_name = "file")]
    pub(super) tls_client_ca: Option<PathBuf>,

    /// required or optional: optional also serves clients without a certificate (default required)
    #[argh(option, arg_name = "when")]
    pub(super) tls_client_auth: Option<ClientAuth>,

    /// offer PROTO in ALPN; repeatable, in the order of preference
    #[argh(option, arg_name = "proto", from_str_fn(protocol))]
    pub(super) tls_alpn: Vec<String>,

    /// the lowest version of TLS, 1.2 or 1.3 (default 1.2)
    #[argh(option, arg_name = "version")]
    pub(super) tls_min: Option<tls::Version>,

    /// expect a PROXY header from load balancers: v1, v2, any or off (default off). Rules, limits
    /// per source and the log then use the address of the real client
    #[argh(option, arg_name = "version", default = "ProxyVersion::default()")]
    pub(super) proxy_protocol: ProxyVersion,

    /// the network of load balancers, as 10.0.0.0/8; repeatable. Any other source is closed, except
    /// on Unix sockets and standard input
    #[argh(option, arg_name = "net", from_str_fn(net))]
    pub(super) trust_proxy: Vec<Net>,

    /// log more: also the start of each connection
    #[argh(switch, short = 'v')]
    verbose: bool,

    /// log problems only
    #[argh(switch, short = 'q')]
    quiet: bool,
}

/// Parses the arguments, without the name of the command. An error is one line.
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
        return Err(no_service_given());
    }
    let words: Vec<&str> = words.words.iter().map(String::as_str).collect();
    let halves = match Halves::from_args(&["halves"], &words) {
        Ok(halves) => halves,
        Err(exit) if exit.status.is_ok() => return Ok(Request::Print(with_services(&exit.output))),
        Err(exit) => return Err(exit.output),
    };
    match halves.command {
        _ if halves.version => Ok(Request::Print(version())),
        Some(Subcommand::Serve(serve)) => serve.checked().map(Box::new).map(Request::Serve),
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

    /// Checks the options that depend on each other, and fills in the default address.
    fn checked(mut self) -> Result<Self, String> {
        let Service(service) = self.service;
        if self.close_word.is_some() && !service.has_close_word {
            return Err(format!("{} has no --close-word", service.name));
        }
        if self.verbose && self.quiet {
            return Err("-v and -q contradict each other".into());
        }
        conflicts::check(&mut self.listen, self.ready_fd)?;
        if self.listen.is_empty() {
            self.listen.push(DEFAULT_ADDRESS.parse()?);
        }
        layers::check(&self)?;
        Ok(self)
    }
}

fn text(word: OsString) -> Result<String, String> {
    word.into_string().map_err(|word| {
        let word = word.to_string_lossy();
        format!("an argument is not UTF-8: {word}")
    })
}

/// Adds the table of services to the help of `serve`.
fn with_services(help: &str) -> String {
    const OPTIONS: &str = "\n\nOptions:\n";
    if !help.starts_with("Usage: halves serve") {
        return help.to_owned();
    }
    let rows = Service::all().map(|Service(row)| format!("\n  {:<18}{}", row.name, row.help));
    let services: String = rows.collect();
    help.replacen(OPTIONS, &format!("\n\nServices:{services}{OPTIONS}"), 1)
}

fn version() -> String {
    format!("halves {}\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
