//! Replays of records to handlers.

mod differences;
mod faults;
mod reading;
mod recorded;
mod timing;

use std::io;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::testing::{Record, Replay};
use halves::{Connection, service};

/// Two lines, the end of the input, and that of the answer. The first event is in line 4.
const TWO_LINES: &str = "0 in \"a\\n\"\n\
    0.5 out \"A\\n\"\n\
    1.5 in \"b\\n\"\n\
    1.5 out \"B\\n\"\n\
    2 in end\n\
    2 out end\n\
    2 closed\n";

/// A record with these events.
fn record(events: &str) -> Record {
    let text = format!("halves-record 1\nclient 192.0.2.9:4000\nserver 192.0.2.7:7\n{events}");
    text.parse().expect("a record")
}

fn replay(events: &str) -> Replay {
    Replay::new(record(events))
}

async fn upper(connection: Connection) -> io::Result<()> {
    service::upper(connection.reader, connection.writer).await
}

/// One action of a handler.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Reads so many bytes.
    Read(usize),
    /// Reads to the end of the input.
    ReadEnd,
    Write(&'static str),
    /// Ends the output.
    End,
    Reset,
    /// Waits for ever.
    Hang,
}

/// A handler that does this, whatever it reads.
fn does(acts: &'static [Act]) -> impl Fn(Connection) -> Acting + Clone {
    move |connection| Box::pin(act(connection, acts))
}

type Acting = std::pin::Pin<Box<dyn Future<Output = io::Result<()>>>>;

async fn act(mut connection: Connection, acts: &[Act]) -> io::Result<()> {
    for act in acts {
        match act {
            Act::Read(bytes) => drop(connection.reader.exactly(*bytes).await?),
            Act::ReadEnd => drop(connection.reader.read_to_end(&mut Vec::new()).await?),
            Act::Write(text) => connection.writer.write_all(text.as_bytes()).await?,
            Act::End => connection.writer.close().await?,
            Act::Reset => connection.peer.abort(),
            Act::Hang => std::future::pending().await,
        }
    }
    Ok(())
}
