//! The clients of a script. Most of them misbehave.

use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::testing::Sim;
use halves::{Connection, Reader, Writer};

use super::handlers::message;
use super::ledger::{ClientEnd, Ledger};
use super::settings::{millis, one_of, source};

/// The longest time of a client.
const MAX_TIME: Duration = Duration::from_secs(200);

/// The behaviour of a client, besides its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// Sends its message and its end, and reads until the end.
    Correct,
    /// Sends nothing, and reads until the end.
    Listens,
    /// Waits before it ends its output.
    Idles,
    /// Pauses after each few bytes.
    Drips,
    /// Reads nothing for a long time.
    Deaf,
    /// Leaves in the middle.
    Vanishes,
    Resets,
}

/// Connects after a while, and sends a message.
pub(crate) async fn client(sim: Sim, ledger: Ledger, door: usize, name: String) {
    sim.clock().sleep(millis(&sim, 0..4000)).await;
    let Ok(connection) = sim.connect_from(source(&sim), &name).await else {
        return;
    };
    let port = port(&connection);
    ledger.connect(port, door);
    let habit = habit(&sim);
    let exchange = exchange(&sim, &ledger, port, habit, connection);
    let ended = sim.clock().timeout(MAX_TIME, exchange).await;
    ledger.with(port, |account, _| {
        account.client_left |= account.end == ClientEnd::Unknown || ended.is_err();
    });
}

fn port(connection: &Connection) -> u16 {
    match connection.peer.local() {
        halves::connection::Endpoint::Inet(address) => address.port(),
        other => unreachable!("the endpoint of a simulated client is {other}"),
    }
}

fn habit(sim: &Sim) -> Habit {
    match sim.random(0..14) {
        0..=4 => Habit::Correct,
        5 | 6 => Habit::Listens,
        7 | 8 => Habit::Idles,
        9 | 10 => Habit::Drips,
        11 => Habit::Deaf,
        12 => Habit::Vanishes,
        _ => Habit::Resets,
    }
}

async fn exchange(sim: &Sim, ledger: &Ledger, port: u16, habit: Habit, connection: Connection) {
    let Connection {
        reader,
        mut writer,
        peer,
    } = connection;
    let write = async {
        let _ = sends(sim, ledger, port, habit, &mut writer).await;
        if matches!(habit, Habit::Vanishes | Habit::Resets) {
            ledger.with(port, |account, _| account.client_left = true);
            if habit == Habit::Resets {
                peer.abort();
            }
            return;
        }
        future::pending::<()>().await;
    };
    let read = async {
        if habit == Habit::Deaf {
            sim.clock().sleep(millis(sim, 0..150_000)).await;
        }
        reads(ledger, port, reader).await;
    };
    future::or(write, read).await;
}

async fn sends(
    sim: &Sim,
    ledger: &Ledger,
    port: u16,
    habit: Habit,
    writer: &mut Writer,
) -> io::Result<()> {
    let longest = if one_of(sim, 20) {
        ledger.network().long_message()
    } else {
        3000
    };
    let length = match habit {
        Habit::Listens => 0,
        Habit::Drips => sim.random(0..400),
        _ => sim.random(0..longest),
    };
    let message = message(usize::try_from(length).expect("a small number"));
    let (piece, pause) = match habit {
        Habit::Drips => (sim.random(1..60), sim.random(1..3000)),
        _ => (length.max(1), 0),
    };
    for piece in message.chunks(usize::try_from(piece).expect("a small number")) {
        let mut left = piece;
        while !left.is_empty() {
            let n = writer.write(left).await?;
            ledger.with(port, |account, _| account.sent += n);
            left = &left[n..];
        }
        if pause > 0 {
            sim.clock().sleep(Duration::from_millis(pause)).await;
        }
    }
    if matches!(habit, Habit::Idles | Habit::Vanishes | Habit::Resets) {
        let longest = if habit == Habit::Idles { 100_000 } else { 3000 };
        sim.clock().sleep(millis(sim, 0..longest)).await;
    }
    if matches!(habit, Habit::Correct | Habit::Idles | Habit::Drips) && !one_of(sim, 8) {
        writer.close().await?;
        ledger.with(port, |account, _| account.client_closed = true);
    }
    Ok(())
}

async fn reads(ledger: &Ledger, port: u16, mut reader: Reader) {
    let mut buf = [0; 2000];
    let end = loop {
        match reader.read(&mut buf).await {
            Ok(0) => break ClientEnd::Clean,
            Ok(n) => ledger.with(port, |account, _| account.got.extend(&buf[..n])),
            Err(_) => break ClientEnd::Broken,
        }
    };
    ledger.with(port, |account, _| account.end = end);
}
