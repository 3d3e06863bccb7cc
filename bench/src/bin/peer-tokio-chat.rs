//! A chat on tokio's current_thread runtime, as it is usually written: a broadcast channel, and a
//! task for each client that writes what comes from it. `\0` ends a frame.

use halves_bench::peer::PeerOptions;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::select;
use tokio::sync::broadcast;

fn main() -> io::Result<()> {
    let options = PeerOptions::from_env();
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(listen(options))
}

async fn listen(options: PeerOptions) -> io::Result<()> {
    let (room, _) = broadcast::channel(QUEUED_FRAMES);
    let listener = TcpListener::bind(options.address()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        if options.nodelay {
            stream.set_nodelay(true)?;
        }
        let room = room.clone();
        tokio::spawn(async move {
            // A broken connection is that client's own affair.
            let _ = chat(stream, room).await;
        });
    }
}

async fn chat(mut stream: TcpStream, room: broadcast::Sender<Arc<[u8]>>) -> io::Result<()> {
    let mut heard = room.subscribe();
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut frame = Vec::new();
    loop {
        select! {
            read = reader.read_until(0, &mut frame) => {
                if read? == 0 {
                    return Ok(());
                }
                // Fails while nobody is in the room, but we are.
                let _ = room.send(frame.as_slice().into());
                frame.clear();
            }
            said = heard.recv() => match said {
                Ok(frame) => writer.write_all(&frame).await?,
                // Others went on without this one.
                Err(lagged) => return Err(io::Error::other(lagged)),
            }
        }
    }
}

/// As many as wait for one client of ours.
const QUEUED_FRAMES: usize = 256;
