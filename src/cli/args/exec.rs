//! The own arguments of `halves exec`.

use argh::{ArgsInfo, FromArgs};

/// Run PROGRAM for each connection, with the connection as its standard input and output.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "exec",
    help_triggers("-h", "--help"),
    usage = "[OPTIONS] PROGRAM [ARGS...]",
    example = "{command_name} --listen :7 cat\n\
        {command_name} --listen 127.0.0.1:9418 git daemon --inetd --export-all\n\
        {command_name} --listen :443 --tls-cert a.pem --tls-key a.key -- sh -c 'read l; echo $l'\n\
        {command_name} --listen /run/rev.sock,mode=0660 --max-connections 40 rev\n\
        {command_name} --listen - env",
    note = "The first word that is no option is PROGRAM, and all words after it are its arguments.\n\
        A PROGRAM without a slash is searched for in PATH, once, at the start.",
    note = "PROGRAM has the socket itself as descriptors 0 and 1, or two pipes if there is TLS,\n\
        --min-rate, or --idle-timeout on a Unix socket. Its standard error is that of halves.",
    note = "Each PROGRAM has a process group, default signals, and these variables:\n\
        \x20 TCP      PROTO=TCP TCPLOCALIP TCPLOCALPORT TCPREMOTEIP TCPREMOTEPORT REMOTE_ADDR\n\
        \x20          REMOTE_PORT TCPCONNNUM (connections of this address); after a PROXY header,\n\
        \x20          the address is that of the real client\n\
        \x20 Unix     PROTO=UNIX UNIXLOCALPATH UNIXREMOTEUID UNIXREMOTEGID UNIXREMOTEPID\n\
        \x20 TLS      SSL_PROTOCOL SSL_CIPHER SSL_TLS_SNI_SERVERNAME SSL_ALPN\n\
        \x20          SSL_PEER_CERT_HASH SSL_PEER_CERT_SUBJECT\n\
        \x20 removed  LISTEN_* WATCHDOG_* NOTIFY_SOCKET",
    note = "A connection ends when PROGRAM exits; the rest of its process group is killed. If it\n\
        fails, the reason in the log is child, with status=N or signal=N. A time limit kills\n\
        the group. The drain timeout sends TERM to the group, and KILL 2 seconds later.",
    note = "'halves tcpserver' takes the flags of tcpserver instead of these."
)]
pub(in crate::cli) struct Exec {}
