//! `--metrics`: statistics for scrapers, probes for load balancers, and a page, over HTTP.

mod accept;
mod connections;
mod exposition;
mod families;
mod host;
mod http;
mod page;
mod process;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use halves::{Clock, Connection, Endpoint, Executor};
use serde::Serialize;

use super::admin::{AdminContext, StatsRow};
use accept::Form;
use http::{Exchange, Request, Response, Status};

/// The time in which the executor of the service must run a task.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(1);

/// Answers the requests of one connection.
pub(super) async fn serve(context: Arc<AdminContext>, connection: Connection) -> io::Result<()> {
    let mut exchange = Exchange::new(connection, Clock::default());
    let local = exchange.peer().local();
    while let Some(request) = exchange.next().await? {
        let response = answer(&context, &local, &request).await;
        exchange.respond(&response).await?;
    }
    Ok(())
}

async fn answer(context: &AdminContext, local: &Endpoint, request: &Request) -> Response {
    if !host::is_allowed(request.host.as_deref(), local) {
        let problem = "ask for this machine by its IP address or as localhost";
        return Response::error(Status::MISDIRECTED, problem);
    }
    let handle = &context.orders.handle;
    match request.path.as_str() {
        "/" => page::response(),
        "/metrics" => {
            let form = Form::accepted(&request.accept);
            let text = families::text(handle, form);
            Response::new(Status::OK, form.content_type(), text)
        }
        "/healthz" if turns(&context.executor, &Clock::default()).await => {
            Response::text(Status::OK, "ok")
        }
        "/healthz" => Response::text(Status::UNAVAILABLE, "the executor does not turn"),
        "/readyz" if handle.is_ready() => Response::text(Status::OK, "ready"),
        "/readyz" => Response::text(Status::UNAVAILABLE, context.phase()),
        "/stats" => json(&StatsRow::new(context, Clock::default().now())),
        "/connections" => connections::response(handle, &request.query),
        _ => {
            let paths = "there are /, /metrics, /healthz, /readyz, /stats and /connections";
            Response::error(Status::NOT_FOUND, paths)
        }
    }
}

/// Returns true if the executor of the service runs a task in time.
async fn turns(executor: &Executor, clock: &Clock) -> bool {
    let task = executor.spawn(async {});
    clock.timeout(HEALTH_TIMEOUT, task).await.is_ok()
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => Response::new(Status::OK, "application/json", text),
        Err(error) => Response::error(Status::UNAVAILABLE, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future;

    use super::*;

    #[test]
    fn an_executor_that_runs_a_task_in_time_turns() {
        let (clock, _manual) = Clock::manual();
        let ex = Executor::new();
        assert!(ex.block_on(turns(&ex, &clock)));
    }

    #[test]
    fn an_executor_that_runs_no_task_in_time_does_not() {
        let (clock, manual) = Clock::manual();
        let ex = Executor::new();
        future::block_on(async {
            let mut turns = Box::pin(turns(&ex, &clock));
            // The time counts from the first poll.
            assert_eq!(future::poll_once(&mut turns).await, None);
            manual.advance(HEALTH_TIMEOUT - Duration::from_millis(1));
            assert_eq!(future::poll_once(&mut turns).await, None);
            manual.advance(Duration::from_millis(1));
            assert!(!turns.await);
        });
    }
}
