//! Connections that switch to TLS in the middle, after lines in clear text.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use halves::Connection;
use halves::service::upper;
use halves::testing::{Faults, Sim, SimReader, SimWriter, Simulation};
use halves::tls::{Acceptor, Connector};

use super::random_ends;
use crate::seeds::{are_many, seeds};

/// The usual number of seeds.
const SEEDS: u64 = 50;

#[test]
fn a_connection_switches_to_tls_in_the_middle() {
    let cut = Cell::new(0);
    for (faults, loses) in [
        (Faults::default().max_piece(200), false),
        (Faults::all().resets(0.2).ends(0.2).offsets(0..2500), true),
    ] {
        let simulation = Simulation::builder().seeds(seeds(SEEDS)).faults(faults);
        simulation.run(async |sim: Sim| {
            let ends = random_ends(&sim);
            let acceptor = ends.acceptor.clone();
            sim.serve("server", async move |c| starttls(c, acceptor).await)?;
            let asked = ask(&sim, &ends.connector);
            let asked = sim.clock().timeout(Duration::from_hours(1), asked).await;
            match asked.and_then(|asked| asked) {
                Ok(answer) => assert_eq!(answer, b"SECRET\nWORD\n"),
                Err(error) => {
                    assert!(loses, "{error}");
                    cut.set(cut.get() + 1);
                }
            }
            Ok(())
        });
    }
    assert!(cut.get() > 10 || !are_many(), "{cut:?}");
}

/// Answers lines in capital letters, in clear text and, once a client asks for it, in TLS.
async fn starttls(mut c: Connection<SimReader, SimWriter>, acceptor: Acceptor) -> io::Result<()> {
    while let Some(line) = c.reader.line().await? {
        if line == b"STARTTLS\n" {
            c.writer.write_all(b"go ahead\n").await?;
            let c = acceptor.accept(c).await?;
            return upper(c.reader, c.writer).await;
        }
        c.writer.write_all(&line.to_ascii_uppercase()).await?;
    }
    Ok(())
}

/// Sends a line, switches, sends two more, and returns the answer in TLS.
async fn ask(sim: &Sim, connector: &Connector) -> io::Result<Vec<u8>> {
    let mut c = sim.connect("server").await?;
    c.writer.write_all(b"clear\nSTARTTLS\n").await?;
    for expected in [&b"CLEAR\n"[..], b"go ahead\n"] {
        let line = c.reader.line().await?.ok_or(ErrorKind::UnexpectedEof)?;
        assert_eq!(line, expected);
    }
    let mut c = connector.handshake(c, "localhost").await?;
    c.writer.write_all(b"secret\nword\n").await?;
    c.writer.close().await?;
    let mut answer = Vec::new();
    c.reader.read_to_end(&mut answer).await?;
    Ok(answer)
}
