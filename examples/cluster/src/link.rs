//! The link of this node to the others: one connection to Redis, which publishes and subscribes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;
use halves::{Clock, time};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, Msg, ProtocolVersion, PushInfo, PushKind,
    RedisError, RedisResult,
};
use smol::channel::{Receiver, bounded};

use crate::message::Message;
use crate::room::Room;

const CHANNEL: &str = "halves-cluster";
/// The most messages in one request to Redis.
const MAX_BATCH: usize = 64;
/// A connection without a request for this time is checked with a PING.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The most time for Redis to accept a connection, and to answer a request.
const REDIS_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after a failure. It doubles with each failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Publishes the lines of a room, and delivers those of all rooms to it.
pub(crate) struct Link {
    redis: Client,
    room: Arc<Room>,
    lines: Receiver<String>,
    clock: Clock,
    /// This run of the node: its name and the time of its start.
    origin: String,
    /// The number of the last message.
    number: u64,
    /// Messages that Redis has not confirmed. They are published again on the next connection,
    /// with the same numbers.
    unconfirmed: Vec<String>,
    /// The pause after the next failure.
    pause: Duration,
}

/// A connection that is subscribed.
pub(crate) struct Session {
    connection: MultiplexedConnection,
    /// Closed at the end of the connection.
    ended: Receiver<()>,
}

impl Link {
    /// Makes a link to the Redis server at `address`, without connecting.
    pub(crate) fn new(
        address: &str,
        room: Arc<Room>,
        lines: Receiver<String>,
        clock: Clock,
    ) -> io::Result<Self> {
        let info = address.into_connection_info().map_err(|error| {
            let forms = "use redis://HOST:PORT or unix:/PATH";
            io::Error::other(format!("the address of Redis: {error}; {forms}"))
        })?;
        // Only this version of the protocol has messages and answers on one connection.
        let settings = info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        let redis = Client::open(info.set_redis_settings(settings)).map_err(io::Error::other)?;
        let start = time::unix_time().as_nanos();
        Ok(Self {
            redis,
            origin: format!("{}.{start:x}", room.node()),
            room,
            lines,
            clock,
            number: 0,
            unconfirmed: Vec::new(),
            pause: FIRST_PAUSE,
        })
    }

    /// Connects and subscribes, with as many attempts as that takes.
    pub(crate) async fn connect(&mut self) -> Session {
        loop {
            match self.try_to_connect().await {
                Ok(session) => return session,
                Err(error) => self.back_off(&error).await,
            }
        }
    }

    /// Publishes the lines of the room until it is closed. Connects again when a session ends.
    pub(crate) async fn run(mut self, mut session: Session) {
        while let Err(error) = self.publish(session).await {
            self.room.set_linked(false);
            self.back_off(&error).await;
            session = self.connect().await;
            self.room.set_linked(true);
        }
    }

    async fn try_to_connect(&self) -> RedisResult<Session> {
        let room = self.room.clone();
        let (end, ended) = bounded(1);
        // Called for each message, in order. Between the socket and the queues of the clients there
        // is no other queue: if this node is slow, the messages wait at Redis, and it ends the
        // connection when too many do.
        let receive = move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                end.close();
            } else if let Some(message) = Msg::from_push_info(push) {
                room.deliver(message.get_payload_bytes());
            }
            Ok::<_, ()>(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(REDIS_TIMEOUT))
            .set_response_timeout(Some(REDIS_TIMEOUT))
            .set_push_sender(receive);
        let connecting = self
            .redis
            .get_multiplexed_async_connection_with_config(&config);
        let mut connection = connecting.await?;
        connection.subscribe(CHANNEL).await?;
        Ok(Session { connection, ended })
    }

    /// Publishes until the room is closed. The session is subscribed, so the lines of this node's
    /// clients come back to them.
    async fn publish(&mut self, mut session: Session) -> RedisResult<()> {
        loop {
            let mut request = redis::pipe();
            for message in &self.unconfirmed {
                request.publish(CHANNEL, message).ignore();
            }
            if self.unconfirmed.is_empty() {
                request.ping().ignore();
            }
            request.exec_async(&mut session.connection).await?;
            self.unconfirmed.clear();
            self.pause = FIRST_PAUSE;
            if !self.take_lines(&session).await {
                return Ok(());
            }
        }
    }

    /// Waits for lines, and numbers them. Returns false if the room is closed. Returns without a
    /// line for a heartbeat, and when the session ends, which the next PING reports.
    async fn take_lines(&mut self, session: &Session) -> bool {
        let line = async { Some(self.lines.recv().await) };
        let ended = async {
            let _ = session.ended.recv().await;
            None
        };
        let next = self.clock.timeout(HEARTBEAT, future::or(line, ended));
        match next.await.ok().flatten() {
            Some(Ok(line)) => self.number_line(&line),
            Some(Err(_)) => return false,
            None => return true,
        }
        while self.unconfirmed.len() < MAX_BATCH
            && let Ok(line) = self.lines.try_recv()
        {
            self.number_line(&line);
        }
        true
    }

    fn number_line(&mut self, line: &str) {
        self.number += 1;
        let message = Message {
            origin: &self.origin,
            number: self.number,
            line,
        };
        self.unconfirmed.push(message.encode());
    }

    async fn back_off(&mut self, error: &RedisError) {
        eprintln!("redis: {error}; next attempt in {:?}", self.pause);
        self.clock.sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_five_seconds() {
        let (clock, manual) = Clock::manual();
        let (room, lines) = Room::new("a");
        let mut link = Link::new("unix:/nowhere", room, lines, clock).expect("an address");
        let error = RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        for millis in [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            let pause = Duration::from_millis(millis);
            future::block_on(async {
                let mut waits = Box::pin(link.back_off(&error));
                assert!(future::poll_once(&mut waits).await.is_none());
                manual.advance(pause - Duration::from_millis(1));
                assert!(future::poll_once(&mut waits).await.is_none(), "{millis}");
                manual.advance(Duration::from_millis(1));
                assert!(future::poll_once(&mut waits).await.is_some(), "{millis}");
            });
        }
    }
}
