//! The options that every server has: `serve` and the other commands that listen.

use std::num::NonZero;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use halves::Address;
use halves::limits::Net;
use halves::tls::{self, ClientAuth};

use crate::cli::control::ControlAddress;
use crate::cli::format::Format;
use crate::cli::listen_address::ListenAddress;
use crate::cli::log::Level;
use crate::cli::rules::RuleSource;
use crate::cli::values::{
    PerSource, ProxyVersion, count, deadline, descriptor, duration, metrics_address, net, number,
    protocol, record_limit, rule, threads,
};
use crate::cli::{conflicts, layers};
use conflicts::Given;

/// The address without `--listen`.
pub(super) const DEFAULT_ADDRESS: &str = "127.0.0.1:50007";

/// The options of every server. Their rows and notes are added to the help of each command that
/// listens.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    help_triggers("-h", "--help"),
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
    note = "A line of --config is 'name value' or 'name=value', or the name of a switch. # at the\n\
        start of a line or behind a space starts a comment. Files are found from the working\n\
        directory. The file is read once, at the start.",
    note = "TERM and INT: keep accepting for the drain delay, then accept no more and let\n\
        connections finish, then reset what is left at the drain timeout. A second signal\n\
        resets all connections now. INT has no effect if it was ignored at the start.",
    note = "HUP: reload the rule files and the files of --tls-*. If one is bad, nothing changes.\n\
        Open connections stay. If the terminal closes, HUP acts as a first TERM. HUP has no\n\
        effect if it was ignored at the start, as under nohup. USR1: log the number of open,\n\
        accepted and ended connections, the latter by reason, and of bytes in and out. USR2:\n\
        start the program again, pass the listeners on, and drain when the new process is\n\
        ready. If it fails, nothing changes.",
    note = "Under systemd and similar managers (NOTIFY_SOCKET): sends READY, STATUS, RELOADING,\n\
        STOPPING, EXTEND_TIMEOUT_USEC during a drain, and watchdog messages (WATCHDOG_USEC).",
    note = "The log goes to standard error. If that is slow, lines are dropped and counted.",
    note = "Exit codes: 0 all connections finished, 1 could not start or failed while running,\n\
        2 bad usage, 3 connections were aborted at the drain timeout, 128+N a second signal\n\
        N forced the end (130: INT, 143: TERM)."
)]
pub(in crate::cli) struct ServerOptions {
    /// listen on ADDRESS; repeatable (default 127.0.0.1:50007)
    #[argh(option, arg_name = "address")]
    pub(in crate::cli) listen: Vec<ListenAddress>,

    /// keep at most N connections open; further clients wait (default: from the limit of open
    /// files)
    #[argh(option, arg_name = "n", from_str_fn(count))]
    pub(in crate::cli) max_connections: Option<NonZero<usize>>,

    /// keep at most N connections of one source open, and close others at once; 0 is unlimited
    /// (default 0). N/V4 and N/V4/V6 set the bits of an address that identify a source: V4 for
    /// IPv4 (default 32), V6 for IPv6 (default 64)
    #[argh(option, arg_name = "n", default = "PerSource::default()")]
    pub(in crate::cli) max_per_source: PerSource,

    /// accept at most N connections of one source in a second, and close others at once; 0 is
    /// unlimited (default 0)
    #[argh(option, arg_name = "n", default = "0", from_str_fn(number))]
    pub(in crate::cli) accept_rate: u32,

    /// allow clients that match RULE: a network, an address, or @FILE with one of these on each
    /// line; repeatable. Without --allow, everyone may connect
    #[argh(option, arg_name = "rule", from_str_fn(rule))]
    pub(in crate::cli) allow: Vec<RuleSource>,

    /// deny clients that match RULE; repeatable. --deny overrides --allow
    #[argh(option, arg_name = "rule", from_str_fn(rule))]
    pub(in crate::cli) deny: Vec<RuleSource>,

    /// end a connection if its PROXY header or its TLS handshake takes longer than DURATION; 0 is
    /// off (default 10s)
    #[argh(
        option,
        arg_name = "duration",
        default = "Duration::from_secs(10)",
        from_str_fn(duration)
    )]
    pub(in crate::cli) handshake_timeout: Duration,

    /// end a connection after DURATION without a byte in either direction; 0 is off (default 0)
    #[argh(
        option,
        arg_name = "duration",
        default = "Duration::ZERO",
        from_str_fn(duration)
    )]
    pub(in crate::cli) idle_timeout: Duration,

    /// end a connection after DURATION, or up to a tenth earlier at random; 0 is off (default 0)
    #[argh(
        option,
        arg_name = "duration",
        default = "Duration::ZERO",
        from_str_fn(duration)
    )]
    pub(in crate::cli) lifetime: Duration,

    /// end a connection if the client sends less than BYTES per second while the service waits for
    /// the rest of a request, on average over 5 seconds of such waiting; no effect on upper and
    /// echo, which answer every byte; 0 is off (default 0)
    #[argh(option, arg_name = "bytes", default = "0", from_str_fn(number))]
    pub(in crate::cli) min_rate: u64,

    /// after the first signal, keep accepting for DURATION, but report not ready (default 0)
    #[argh(
        option,
        arg_name = "duration",
        default = "Duration::ZERO",
        from_str_fn(duration)
    )]
    pub(in crate::cli) drain_delay: Duration,

    /// give connections DURATION to finish at the end, then abort them; 0 is unlimited (default
    /// 30s)
    #[argh(
        option,
        arg_name = "duration",
        default = "Duration::from_secs(30)",
        from_str_fn(deadline)
    )]
    pub(in crate::cli) drain_timeout: Duration,

    /// serve on N threads (default 1)
    #[argh(
        option,
        arg_name = "n",
        default = "NonZero::<usize>::MIN",
        from_str_fn(threads)
    )]
    pub(in crate::cli) threads: NonZero<usize>,

    /// write the log as FORMAT: text, logfmt or json (default text)
    #[argh(option, arg_name = "format", default = "Format::Text")]
    pub(in crate::cli) log: Format,

    /// begin each line of a text log with the time (RFC 3339, UTC); always on at a terminal
    #[argh(switch)]
    pub(in crate::cli) log_time: bool,

    /// write an empty line to the open descriptor N when all listeners are open, then close it; N
    /// is at least 3
    #[argh(option, arg_name = "n", from_str_fn(descriptor))]
    pub(in crate::cli) ready_fd: Option<RawFd>,

    /// take requests on a Unix socket: list, close and reset connections, change limits, reload,
    /// restart, drain, abort. Its mode is 0600 unless ADDRESS has another; root and the user of the
    /// server may connect
    #[argh(option, arg_name = "address")]
    pub(in crate::cli) control: Option<ControlAddress>,

    /// serve statistics over HTTP: /metrics for Prometheus, /healthz and /readyz for load balancers,
    /// and a page for browsers. Every client may read them, so choose an address that only operators
    /// reach
    #[argh(option, arg_name = "address", from_str_fn(metrics_address))]
    pub(in crate::cli) metrics: Option<Address>,

    /// write the traffic of each connection to a new file in DIR: all bytes in both directions, without
    /// TLS and so with the passwords in them, and their times. DIR must exist
    #[argh(option, arg_name = "dir")]
    pub(in crate::cli) record: Option<PathBuf>,

    /// end the file of a connection at SIZE, as 64k or 2m; the connection goes on (default 1m)
    #[argh(option, arg_name = "size", from_str_fn(record_limit))]
    pub(in crate::cli) record_limit: Option<usize>,

    /// serve TLS with the certificates of FILE, in PEM: the server's first, then those that signed
    /// it; repeatable, with one --tls-key each. A client gets the certificate for the name that it
    /// asks for, or else the first
    #[argh(option, arg_name = "file")]
    pub(in crate::cli) tls_cert: Vec<PathBuf>,

    /// the private key of the --tls-cert at the same position, in PEM and not encrypted
    #[argh(option, arg_name = "file")]
    pub(in crate::cli) tls_key: Vec<PathBuf>,

    /// require a client certificate that an authority in FILE has signed
    #[argh(option, arg_name = "file")]
    pub(in crate::cli) tls_client_ca: Option<PathBuf>,

    /// required or optional: optional also serves clients without a certificate (default required)
    #[argh(option, arg_name = "when")]
    pub(in crate::cli) tls_client_auth: Option<ClientAuth>,

    /// offer PROTO in ALPN; repeatable, in the order of preference
    #[argh(option, arg_name = "proto", from_str_fn(protocol))]
    pub(in crate::cli) tls_alpn: Vec<String>,

    /// the lowest version of TLS, 1.2 or 1.3 (default 1.2)
    #[argh(option, arg_name = "version")]
    pub(in crate::cli) tls_min: Option<tls::Version>,

    /// expect a PROXY header from load balancers: v1, v2, any or off (default off). Rules, limits
    /// per source and the log then use the address of the real client
    #[argh(option, arg_name = "version", default = "ProxyVersion::default()")]
    pub(in crate::cli) proxy_protocol: ProxyVersion,

    /// the network of load balancers, as 10.0.0.0/8; repeatable. Any other source is closed, except
    /// on Unix sockets and standard input
    #[argh(option, arg_name = "net", from_str_fn(net))]
    pub(in crate::cli) trust_proxy: Vec<Net>,

    /// change to the user NAME, a name or a number, when all listeners are open: with the groups of
    /// this user, and with no way back
    #[argh(option, arg_name = "name")]
    pub(in crate::cli) user: Option<String>,

    /// change to the group NAME; without --user, it is the only group then
    #[argh(option, arg_name = "name")]
    pub(in crate::cli) group: Option<String>,

    /// read further options from FILE, one on each line without the hyphens. An option of the
    /// command line replaces all lines of that option
    #[argh(option, arg_name = "file")]
    pub(super) config: Option<PathBuf>,

    /// log more: also the start of each connection
    #[argh(switch, short = 'v')]
    verbose: bool,

    /// log problems only
    #[argh(switch, short = 'q')]
    quiet: bool,
}

impl ServerOptions {
    pub(in crate::cli) fn level(&self) -> Level {
        match (self.quiet, self.verbose) {
            (true, _) => Level::Quiet,
            (_, true) => Level::Verbose,
            _ => Level::Normal,
        }
    }

    /// Checks the options that depend on each other, and fills in the default address.
    pub(super) fn checked(mut self) -> Result<Self, String> {
        if self.verbose && self.quiet {
            return Err("-v and -q contradict each other".into());
        }
        if self.record_limit.is_some() && self.record.is_none() {
            return Err("--record-limit needs --record".into());
        }
        if self.listen.is_empty() {
            self.listen.push(DEFAULT_ADDRESS.parse()?);
        }
        let ready_fd = self.ready_fd;
        conflicts::check(&mut self.addresses(), ready_fd)?;
        layers::check(&self)?;
        Ok(self)
    }

    /// Returns every address to listen on.
    fn addresses(&mut self) -> Vec<Given<'_>> {
        let listen = self
            .listen
            .iter_mut()
            .map(|it| ("--listen", &mut it.address));
        let control = self
            .control
            .iter_mut()
            .map(|it| ("--control", &mut it.address));
        let metrics = self
            .metrics
            .iter_mut()
            .map(|address| ("--metrics", address));
        listen.chain(control).chain(metrics).collect()
    }
}
