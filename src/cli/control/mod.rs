//! The control socket: one request a line, and JSON lines as the answer, with an empty line at its
//! end. `request` has the grammar.

mod address;
mod answer;
mod permits;
mod request;

use std::io;
use std::sync::Arc;

use futures_lite::future;
use halves::framing::FrameError;
use halves::{Clock, Connection};

use super::admin::AdminContext;
use answer::Answering;

pub(super) use address::ControlAddress;
pub(super) use permits::Permits;
pub(super) use request::VERBS;

/// The longest request.
const MAX_REQUEST_BYTES: usize = 256;

/// The end of a wait between two answers.
enum Next {
    /// It is time for another answer.
    Time,
    /// A request, or the end of the client.
    Line(Option<Vec<u8>>),
}

/// Answers the requests of one client.
pub(super) async fn serve(
    context: Arc<AdminContext>,
    permits: Permits,
    connection: Connection,
) -> io::Result<()> {
    let Connection {
        mut reader,
        writer,
        peer,
    } = connection;
    let mut answering = Answering::new(&context, peer, writer.buffered());
    if let Err(problem) = permits.check(answering.client()) {
        // The place is free at once. A wait for the end of the client would let other users keep all.
        let peer = answering.client().clone();
        let refused = answering.refuse(&problem).await;
        peer.abort();
        return refused;
    }
    reader.set_frame_limit(MAX_REQUEST_BYTES);
    let clock = Clock::default();
    let mut watching = None;
    loop {
        let line = async { reader.line().await.map(Next::Line) };
        let next = match watching {
            None => line.await,
            Some(interval) => {
                let time = async {
                    clock.sleep(interval).await;
                    Ok(Next::Time)
                };
                future::or(line, time).await
            }
        };
        match next {
            Ok(Next::Time) => answering.watched().await?,
            Ok(Next::Line(None)) => return Ok(()),
            Ok(Next::Line(Some(line))) => watching = answering.answer(&line).await?,
            Err(FrameError::Io(error)) => return Err(error),
            Err(FrameError::TooLong { limit, .. }) => {
                let problem = format!("a request has at most {limit} bytes");
                return answering.refuse(&problem).await;
            }
            Err(_incomplete) => {
                let problem = "the request lacks its line end: it may be cut off";
                return answering.refuse(problem).await;
            }
        }
    }
}
