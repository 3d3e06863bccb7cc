//! A chat on tokio's current_thread runtime, as it is usually written: a channel for each client, and a
//! task that writes what comes from it. `\0` ends a frame.

use halves_bench::peer::PeerOptions;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::select;
use tokio::sync::mpsc;

type Room = Arc<Mutex<HashMap<u64, mpsc::Sender<Arc<[u8]>>>>>;

fn main() -> io::Result<()> {
    let options = PeerOptions::from_env();
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(listen(options))
}

async fn listen(options: PeerOptions) -> io::Result<()> {
    let room = Room::default();
    let listener = TcpListener::bind(options.address()).await?;
    let mut id = 0;
    loop {
        let (stream, _) = listener.accept().await?;
        if options.nodelay {
            stream.set_nodelay(true)?;
        }
        let room = room.clone();
        id += 1;
        tokio::spawn(async move {
            // A broken connection is that client's own affair.
            let _ = chat(stream, &room, id).await;
            room.lock().unwrap().remove(&id);
        });
    }
}

async fn chat(mut stream: TcpStream, room: &Room, id: u64) -> io::Result<()> {
    let (sender, mut heard) = mpsc::channel(256);
    room.lock().unwrap().insert(id, sender);
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut frame = Vec::new();
    loop {
        select! {
            read = reader.read_until(0, &mut frame) => {
                if read? == 0 {
                    return Ok(());
                }
                let said: Arc<[u8]> = frame.as_slice().into();
                room.lock().unwrap().retain(|_, s| s.try_send(said.clone()).is_ok());
                frame.clear();
            }
            said = heard.recv() => match said {
                Some(frame) => writer.write_all(&frame).await?,
                None => return Ok(()),
            }
        }
    }
}
