//! A chat on tokio's current_thread runtime, in the usual form: a broadcast channel, and for each
//! client a task that writes the frames of the channel. `\0` ends a frame.

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
    let (room, _) = broadcast::channel(MAX_QUEUED_FRAMES);
    let listener = TcpListener::bind(options.address()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        if options.nodelay {
            stream.set_nodelay(true)?;
        }
        let room = room.clone();
        tokio::spawn(async move {
            // A broken connection ends only this task.
            let _ = chat(stream, room).await;
        });
    }
}

async fn chat(mut stream: TcpStream, room: broadcast::Sender<Arc<[u8]>>) -> io::Result<()> {
    let mut frames = room.subscribe();
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut frame = Vec::new();
    loop {
        select! {
            read = reader.read_until(0, &mut frame) => {
                if read? == 0 {
                    return Ok(());
                }
                // Fails only without a subscriber; this task is one.
                let _ = room.send(frame.as_slice().into());
                frame.clear();
            }
            received = frames.recv() => match received {
                Ok(frame) => writer.write_all(&frame).await?,
                // The channel has dropped frames that this client has not received.
                Err(lagged) => return Err(io::Error::other(lagged)),
            }
        }
    }
}

/// The same as the queue of one client in `peer-halves-chat`.
const MAX_QUEUED_FRAMES: usize = 256;
