//! `halves serve`: binds, serves, and says by the exit code how it ended.

use std::io;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_lite::future;
use halves::service::{Upper, discard, echo};
use halves::{
    Address, Closed, Connection, Endpoint, Event, Executor, Listeners, Reason, Report, Server,
    Shutdown, bind,
};

use super::args::{Serve, Service};
use super::log::Log;
use super::{ABORTED, FAILED, files, watchdog};

/// Serves until told to end; the exit code.
pub(super) fn run(options: Serve, log: &Log) -> u8 {
    files::raise_limit();
    log.catch_panics();
    serve(options, log).unwrap_or_else(|error| {
        log.complain(&error.to_string());
        FAILED
    })
}

fn serve(options: Serve, log: &Log) -> io::Result<u8> {
    let shutdown = Shutdown::on_signals()?;
    watchdog::start(&shutdown, options.drain_timeout)?;
    // Not dropped: that would wait for its threads, and a handler may hang on one of them.
    let ex = ManuallyDrop::new(Executor::try_threads(options.threads)?);
    let stdio_failed = Arc::<AtomicBool>::default();
    let report = ex.block_on(async {
        let Some(listeners) = listen(&options.listen, &shutdown).await? else {
            return Ok(Report::default());
        };
        let (service, answers) = (options.service, options.service != Service::Discard);
        log.listening(&listeners.local(), service.as_str(), answers);
        let server = server(&options, log, &shutdown, &stdio_failed);
        handle(server, &ex, listeners, options).await
    });
    if shutdown.is_aborting() {
        return Ok(watchdog::code(&shutdown));
    }
    Ok(match report? {
        report if report.aborted > 0 => ABORTED,
        _ if stdio_failed.load(Ordering::Acquire) => FAILED,
        _ => 0,
    })
}

/// Listens at every address. None: it was told to end before that was done, as a host name may
/// take long to resolve.
async fn listen(addresses: &[Address], shutdown: &Shutdown) -> io::Result<Option<Listeners>> {
    let all = async {
        let mut listeners = Listeners::default();
        for address in addresses {
            listeners = listeners.and(bind(address).await?);
        }
        Ok(Some(listeners))
    };
    let asked = async {
        shutdown.requested().await;
        Ok(None)
    };
    future::or(all, asked).await
}

fn server(
    options: &Serve,
    log: &Log,
    shutdown: &Shutdown,
    stdio_failed: &Arc<AtomicBool>,
) -> Server {
    let (say, failed) = (log.observer(), stdio_failed.clone());
    let server = Server::default()
        .shutdown(shutdown.clone())
        .drain_timeout(options.drain_timeout)
        .on_event(move |event| {
            if let Event::Closed(closed) = event
                && is_stdio_failure(closed)
            {
                failed.store(true, Ordering::Release);
            }
            say(event);
        });
    match options.max_connections {
        Some(most) => server.max_connections(most.get()),
        None => server,
    }
}

/// A client's error is the client's; on standard input and output it is ours to tell.
fn is_stdio_failure(closed: &Closed) -> bool {
    closed.peer.endpoint() == &Endpoint::Stdio
        && matches!(closed.reason, Reason::Error | Reason::Panic)
}

/// An arm for each service, so that a connection's task is no larger than its own service needs.
async fn handle(
    server: Server,
    ex: &Executor,
    listeners: Listeners,
    options: Serve,
) -> io::Result<Report> {
    match options.service {
        Service::Upper => {
            let mut upper = Upper::default();
            if let Some(word) = options.close_word {
                upper = upper.close_word(word);
            }
            let handler = async move |c: Connection| upper.serve(c.reader, c.writer).await;
            server.serve(ex, listeners, handler).await
        }
        Service::Echo => {
            let handler = async |c: Connection| echo(c.reader, c.writer).await;
            server.serve(ex, listeners, handler).await
        }
        Service::Discard => {
            let handler = async |c: Connection| discard(c.reader, c.writer).await;
            server.serve(ex, listeners, handler).await
        }
    }
}
