//! The arguments of the command and their help.

mod check;
mod completions;
mod config;
mod connect;
mod ctl;
mod definitions;
mod exec;
mod help;
mod man;
mod proxy;
mod replay;
mod serve;
mod server_options;

use std::ffi::{OsStr, OsString};
use std::str::FromStr;

use argh::{ArgsInfo, CommandInfoWithArgs, EarlyExit, FromArgs};

use super::server_command::ServerCommand;
use super::service::{Service, no_service_given};
use super::words::{Grammar, HELP_WORDS, Words};

use check::Check;
use completions::Completions;
pub(super) use completions::Shell;
use config::{Config, Known};
pub(super) use connect::Connect;
pub(super) use ctl::Ctl;
pub(super) use definitions::{
    CHECK, Definition, Values, brief, definitions, names, value_name, values,
};
use exec::Exec;
use help::help;
use man::Man;
pub(super) use proxy::Proxy;
pub(super) use replay::Replay;
pub(super) use serve::Serve;
pub(super) use server_options::ServerOptions;

/// The request that the arguments make.
#[derive(Debug)]
pub(super) enum Request {
    Serve(ServerCommand, Box<ServerOptions>),
    /// A server that is checked and not started.
    Check(ServerCommand, Box<ServerOptions>),
    Connect(Box<Connect>),
    Ctl(Ctl),
    Replay(Box<Replay>),
    /// The script that completes words in a shell.
    Completions(Shell),
    /// The manual page.
    Man,
    /// Help, or the version.
    Print(String),
}

/// Bad usage.
#[derive(Debug)]
pub(super) struct UsageError {
    /// One line.
    pub(super) problem: String,
    /// The help that lists what is right.
    pub(super) hint: String,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    help_triggers("-h", "--help", "help"),
    description = "Serve any byte stream.\n\n\
        Without arguments: halves serve upper --listen 127.0.0.1:50007",
    example = "{command_name}\n\
        {command_name} serve echo --listen :7\n\
        {command_name} exec --listen :7 cat\n\
        {command_name} proxy 10.0.0.1:80 10.0.0.2:80 --listen :80\n\
        {command_name} connect example.org:443,tls\n\
        {command_name} ctl /run/halves.control top\n\
        {command_name} replay login.record\n\
        {command_name} serve --help",
    note = "'halves tcpserver' takes the flags of tcpserver: see 'halves tcpserver --help'. The same\n\
        is true for a link to halves that is called tcpserver."
)]
struct Halves {
    /// print the version
    #[argh(switch, short = 'V')]
    version: bool,
    #[argh(subcommand)]
    command: Option<Command>,
}

/// The commands. Each has a row in [`GRAMMARS`].
#[allow(clippy::large_enum_variant, reason = "there is one")]
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
enum Command {
    Serve(Serve),
    Exec(Exec),
    Proxy(Proxy),
    Connect(Connect),
    Check(Check),
    Ctl(Ctl),
    Replay(Replay),
    Completions(Completions),
    Man(Man),
}

/// The facts about each command that argh does not know.
const GRAMMARS: &[Grammar] = &[
    Grammar {
        command: "serve",
        is_server: true,
        runs_program: false,
    },
    Grammar {
        command: "exec",
        is_server: true,
        runs_program: true,
    },
    Grammar {
        command: "proxy",
        is_server: true,
        runs_program: false,
    },
    Grammar {
        command: "connect",
        is_server: false,
        runs_program: false,
    },
    Grammar {
        command: "check",
        is_server: false,
        runs_program: false,
    },
    Grammar {
        command: "ctl",
        is_server: false,
        runs_program: false,
    },
    Grammar {
        command: "replay",
        is_server: false,
        runs_program: false,
    },
    Grammar {
        command: "completions",
        is_server: false,
        runs_program: false,
    },
    Grammar {
        command: "man",
        is_server: false,
        runs_program: false,
    },
];

/// The command line without words.
const DEFAULT_COMMAND: [&str; 2] = ["serve", "upper"];

/// Parses the arguments, without the name of the program.
pub(super) fn parse(words: impl Iterator<Item = OsString>) -> Result<Request, UsageError> {
    let mut words: Vec<_> = words.collect();
    if words.is_empty() {
        words = DEFAULT_COMMAND.map(OsString::from).into();
    }
    let command = words.first().and_then(|word| word.to_str());
    let hint = hint(grammar(command.unwrap_or_default()));
    request(words).map_err(|problem| UsageError { problem, hint })
}

fn request(words: Vec<OsString>) -> Result<Request, String> {
    let first_words: Vec<_> = words.iter().map_while(|word| word.to_str()).collect();
    if let [command, "--version" | "-V", ..] = first_words[..]
        && grammar(command).is_some()
    {
        return Ok(Request::Print(version()));
    }
    if let [service, ..] = first_words[..]
        && Service::from_str(service).is_ok()
    {
        return Err(format!(
            "'{service}' is a service, not a command; did you mean 'halves serve {service}'?"
        ));
    }
    if let Some(checked) = words_to_check(&words) {
        return check(checked);
    }
    let (root, shared) = (Halves::get_args_info(), ServerOptions::get_args_info());
    let words = Words::new(words, &root, shared.flags, GRAMMARS)?;
    if words.lacks_argument {
        return Err(lacks_argument(words.command));
    }
    let config = config(&words, &root, &shared)?;
    let own = |count| parse_own(&words, &config, count);
    let halves = match own(config.len()) {
        Ok(halves) => halves,
        Err(exit) if exit.status.is_ok() => {
            return Ok(Request::Print(help(exit.output, words.command)));
        }
        Err(exit) => return Err(config.place(exit.output, |count| own(count).is_ok())),
    };
    let command = match halves.command {
        _ if halves.version => return Ok(Request::Print(version())),
        Some(Command::Serve(serve)) => ServerCommand::Serve(serve.checked()?),
        Some(Command::Exec(Exec {})) => ServerCommand::Exec(words.program.clone()),
        Some(Command::Proxy(proxy)) => ServerCommand::Proxy(proxy.checked()?),
        Some(Command::Connect(connect)) => {
            return Ok(Request::Connect(Box::new(connect.checked()?)));
        }
        Some(Command::Ctl(ctl)) => return Ok(Request::Ctl(ctl.checked()?)),
        Some(Command::Replay(replay)) => {
            return Ok(Request::Replay(Box::new(replay.checked()?)));
        }
        Some(Command::Completions(Completions { shell })) => {
            return Ok(Request::Completions(shell));
        }
        Some(Command::Man(Man {})) => return Ok(Request::Man),
        Some(Command::Check(Check {})) | None => return Err("no command given".into()),
    };
    let options = server_options(&words, &config)?;
    match &command {
        ServerCommand::Proxy(proxy) => moves_no_record(proxy, &options)?,
        _ => reset_is_for_proxy(&options)?,
    }
    Ok(Request::Serve(command, options))
}

/// Returns the command line that `halves check` checks, or None for another command and for help.
fn words_to_check(words: &[OsString]) -> Option<Vec<OsString>> {
    let (_, checked) = words.split_first().filter(|(word, _)| *word == "check")?;
    let is_help = |word: &OsStr| HELP_WORDS.iter().any(|help| word == *help);
    match checked.first() {
        Some(word) if is_help(word) => None,
        Some(word) if !word.as_encoded_bytes().starts_with(b"-") => Some(checked.to_vec()),
        _ => {
            let command = DEFAULT_COMMAND.map(OsString::from).into_iter();
            Some(command.chain(checked.iter().cloned()).collect())
        }
    }
}

fn check(words: Vec<OsString>) -> Result<Request, String> {
    match request(words)? {
        Request::Serve(command, options) => Ok(Request::Check(command, options)),
        Request::Print(text) => Ok(Request::Print(text)),
        _ => Err("check is for serve, exec and proxy".to_owned()),
    }
}

/// Reads the file of `--config`, if there is one.
fn config(
    words: &Words,
    root: &CommandInfoWithArgs,
    shared: &CommandInfoWithArgs,
) -> Result<Config, String> {
    let given = parse_shared(words, &Config::default(), 0);
    // A command line that is wrong by itself is reported later.
    let Some(file) = given.ok().and_then(|options| options.config) else {
        return Ok(Config::default());
    };
    let mut commands = root.commands.iter();
    let command = commands.find(|command| Some(command.name) == words.command);
    let known = Known {
        own: command.map_or(&[], |command| command.command.flags),
        shared: shared.flags,
        commands: &root.commands,
    };
    let config = Config::read(&file, known).map_err(|error| error.to_string())?;
    Ok(config.below(&words.given))
}

/// Parses the own words of the command, with the first `count` options of the configuration.
fn parse_own(words: &Words, config: &Config, count: usize) -> Result<Halves, EarlyExit> {
    let own = words.own.iter().map(String::as_str);
    let rest = words.rest.iter().map(String::as_str);
    let own: Vec<_> = own.chain(config.words(count, false)).chain(rest).collect();
    Halves::from_args(&["halves"], &own)
}

/// Parses the options of every server, with the first `count` options of the configuration.
fn parse_shared(words: &Words, config: &Config, count: usize) -> Result<ServerOptions, EarlyExit> {
    let server = words.server.iter().map(String::as_str);
    let server: Vec<_> = server.chain(config.words(count, true)).collect();
    ServerOptions::from_args(&["halves"], &server)
}

fn server_options(words: &Words, config: &Config) -> Result<Box<ServerOptions>, String> {
    let parse = |count| parse_shared(words, config, count);
    let options = parse(config.len())
        .map_err(|exit| config.place(exit.output, |count| parse(count).is_ok()))?;
    options.checked().map(Box::new)
}

/// Refuses relays that move to another process and leave their records behind.
fn moves_no_record(proxy: &Proxy, options: &ServerOptions) -> Result<(), String> {
    if proxy.handover && options.record.is_some() {
        let problem =
            "--handover and --record exclude each other: a relay that moves leaves its record";
        return Err(problem.to_owned());
    }
    Ok(())
}

/// Refuses `truncated=reset` for a command without a relay.
fn reset_is_for_proxy(options: &ServerOptions) -> Result<(), String> {
    if options.listen.iter().any(|listen| listen.truncated_resets) {
        return Err("truncated=reset is for halves proxy".to_owned());
    }
    Ok(())
}

fn grammar(command: &str) -> Option<&'static Grammar> {
    GRAMMARS.iter().find(|it| it.command == command)
}

fn lacks_argument(command: Option<&str>) -> String {
    match command {
        Some("serve") => no_service_given(),
        Some("exec") => "no program given; write halves exec PROGRAM [ARGS...]".to_owned(),
        Some("connect" | "ctl") => "no address given".to_owned(),
        Some("replay") => "no file given; write halves replay FILE [ADDRESS]".to_owned(),
        Some("completions") => "no shell given; write bash, zsh or fish".to_owned(),
        _ => "an argument is missing".to_owned(),
    }
}

/// Returns the line that names the help of a command, or that of all commands.
fn hint(command: Option<&Grammar>) -> String {
    match command.map(|it| it.command) {
        None => "run 'halves --help' for the commands".to_owned(),
        Some("serve") => "run 'halves serve --help' for the services and options".to_owned(),
        Some(command) => format!("run 'halves {command} --help' for the options"),
    }
}

fn version() -> String {
    format!("halves {}\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
