//! The answers to requests, as JSON lines.

use std::io;
use std::time::Duration;

use halves::connection::{AnyWrite, Buffered};
use halves::{Clock, Peer};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::admin::{AdminContext, ConnectionRow, Rates, StatsRow};
use super::super::format::Line;
use super::super::log::{Level, credentials};
use super::super::orders::Reloaded;
use super::request::{Order, Request};

/// Answers the requests of one client.
pub(super) struct Answering<'a> {
    context: &'a AdminContext,
    client: Peer,
    writer: Buffered<AnyWrite>,
    clock: Clock,
    rates: Rates,
}

impl<'a> Answering<'a> {
    pub(super) fn new(context: &'a AdminContext, client: Peer, writer: Buffered<AnyWrite>) -> Self {
        Self {
            context,
            client,
            writer,
            clock: Clock::default(),
            rates: Rates::default(),
        }
    }

    pub(super) fn client(&self) -> &Peer {
        &self.client
    }

    /// Answers a line. Returns the interval of `watch`.
    pub(super) async fn answer(&mut self, line: &[u8]) -> io::Result<Option<Duration>> {
        let text = String::from_utf8_lossy(line);
        if text.trim().is_empty() {
            return Ok(None);
        }
        let handle = &self.context.orders.handle;
        match text.parse() {
            Ok(Request::List) => self.connections().await?,
            Ok(Request::Watch(interval)) => {
                self.watched().await?;
                return Ok(Some(interval));
            }
            Ok(Request::Show(id)) => match handle.connection(id) {
                Some(info) => self.line(&ConnectionRow::from(&info))?,
                None => self.line(&unknown(id))?,
            },
            Ok(Request::Stats) => self.line(&StatsRow::new(self.context, self.clock.now()))?,
            Ok(Request::Order(order)) => {
                self.log(text.trim());
                let answer = self.follow(order).await;
                self.line(&answer)?;
            }
            Err(problem) => self.line(&error(&problem))?,
        }
        self.end().await?;
        Ok(None)
    }

    /// Writes one answer to `watch`: the statistics, then the connections.
    pub(super) async fn watched(&mut self) -> io::Result<()> {
        self.line(&StatsRow::new(self.context, self.clock.now()))?;
        self.connections().await?;
        self.end().await
    }

    /// Writes an error, and ends.
    pub(super) async fn refuse(mut self, problem: &str) -> io::Result<()> {
        self.line(&error(problem))?;
        self.end().await
    }

    /// Follows an order, and returns the answer.
    async fn follow(&self, order: Order) -> Value {
        let orders = &self.context.orders;
        match order {
            Order::Kill(id) if orders.handle.kill(id) => json!({ "killed": id }),
            Order::Close(id) if orders.handle.close(id) => json!({ "closed": id }),
            Order::Kill(id) | Order::Close(id) => unknown(id),
            Order::Set(setting) => {
                orders.set(setting);
                json!({ "set": true })
            }
            Order::Reload => {
                let orders = orders.clone();
                match smol::unblock(move || orders.reload()).await {
                    Ok(Reloaded {
                        rules,
                        certificates,
                    }) => json!({ "rules": rules, "certificates": certificates }),
                    Err(bad) => error(&bad.to_string()),
                }
            }
            Order::Restart => {
                let orders = orders.clone();
                match smol::unblock(move || orders.restart()).await {
                    Ok(pid) => json!({ "restarted": pid }),
                    Err(problem) => error(&problem),
                }
            }
            Order::Drain => {
                orders.shutdown.drain();
                json!({ "draining": true })
            }
            Order::Abort => {
                orders.shutdown.abort();
                json!({ "aborting": true })
            }
        }
    }

    /// Logs an order, and the client that gave it.
    fn log(&self, order: &str) {
        let line = credentials(Line::new("control").text("order", order), &self.client);
        self.context.orders.lines.write(Level::Normal, &line);
    }

    async fn connections(&mut self) -> io::Result<()> {
        let handle = &self.context.orders.handle;
        for row in self.rates.connections(handle, self.clock.now()) {
            self.line(&row)?;
            self.writer.ready().await?;
        }
        Ok(())
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(value)?;
        text.push(b'\n');
        self.writer.write(&text)
    }

    /// Writes the empty line at the end of an answer.
    async fn end(&mut self) -> io::Result<()> {
        self.writer.write(b"\n")?;
        self.writer.flush().await
    }
}

fn unknown(id: u64) -> Value {
    error(&format!("no connection has the number {id}"))
}

fn error(problem: &str) -> Value {
    json!({ "error": problem })
}
