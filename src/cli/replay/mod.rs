//! `halves replay`: the input of a record to a server, and a verdict as the exit code.

mod outcome;

use std::io::{self, ErrorKind, Write};

use futures_lite::future;
use halves::testing::{Record, Replay};
use halves::{Clock, Connection, Executor};

use super::args::Replay as Arguments;
use super::connect::verdict::End;
use super::format::Format;
use super::log::{Lines, Log};
use super::progress::{Bytes, Progress};
use super::target_address::TargetAddress;
use super::{EXIT_OUTPUT_CLOSED, EXIT_USAGE, interrupt, with_log};
use outcome::Outcome;

/// Replays, prints the verdict, and returns the exit code.
pub(super) fn run(arguments: &Arguments) -> u8 {
    with_log(Format::Text, arguments.level(), |log| {
        let outcome = outcome(arguments, log.lines());
        match print(arguments, &outcome, log) {
            Ok(()) => outcome.code(),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => EXIT_OUTPUT_CLOSED,
            Err(error) => {
                log.complain(&format!("cannot write standard output: {error}"));
                EXIT_USAGE
            }
        }
    })
}

fn outcome(arguments: &Arguments, lines: &Lines) -> Outcome {
    let (record, target) = match read(arguments) {
        Ok(read) => read,
        Err(problem) => return Outcome::Failed(problem),
    };
    let session = session(arguments, record, &target, lines);
    match Executor::new().block_on(interrupt::or_signal(session)) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(signal)) => Outcome::Signaled(signal),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Reads the record, and returns the address of the server.
fn read(arguments: &Arguments) -> Result<(Record, TargetAddress), String> {
    let record = Record::read(&arguments.file).map_err(|error| error.to_string())?;
    if let Some(target) = &arguments.address {
        return Ok((record, target.clone()));
    }
    let file = arguments.file.display();
    let target = match record.server.as_str() {
        "" => Err("it is missing".to_owned()),
        server => server.parse::<TargetAddress>(),
    };
    let target = target.and_then(|target| arguments.check(&target).map(|()| target));
    let target = target.map_err(|problem| {
        let server = &record.server;
        format!("{file}: no server to ask in 'server {server}': {problem}; add an ADDRESS")
    })?;
    Ok((record, target))
}

async fn session(
    arguments: &Arguments,
    record: Record,
    target: &TargetAddress,
    lines: &Lines,
) -> Outcome {
    let options = match target.load_client(arguments.connect_timeout, arguments.source) {
        Ok(options) => options,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    match options.connect(&target.address).await {
        Ok(connection) => play(arguments, record, connection, lines).await,
        Err(error) => Outcome::Unconnected(End::of_connect(&error)),
    }
}

/// Replays to a connection, with the progress.
async fn play(
    arguments: &Arguments,
    record: Record,
    connection: Connection,
    lines: &Lines,
) -> Outcome {
    let clock = Clock::default();
    let replay = Replay::new(record)
        .pace(arguments.pace)
        .timeout(arguments.timeout);
    let peer = connection.peer.clone();
    let progress = Progress::of_silence(lines, arguments.level());
    let shown = async {
        if let Some(progress) = &progress {
            let bytes = || Bytes {
                received: peer.payload_in(),
                sent: peer.payload_out(),
            };
            progress.show(&clock, bytes).await;
        }
        future::pending().await
    };
    match future::or(replay.play(connection, &clock), shown).await {
        Ok(replayed) => Outcome::Same(replayed),
        Err(difference) => Outcome::Differs(difference),
    }
}

fn print(arguments: &Arguments, outcome: &Outcome, log: &Log) -> io::Result<()> {
    let file = arguments.file.display().to_string();
    let text = match outcome.problem() {
        _ if arguments.json => outcome.json(&file),
        Some(problem) => {
            log.complain(&problem);
            return Ok(());
        }
        None if arguments.quiet => return Ok(()),
        None => outcome.line(),
    };
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}
