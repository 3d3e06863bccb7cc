//! A room with clients in memory, on one thread. The test itself is the link.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;

use halves::listener::memory::{self, Connector, MemoryConnection};
use halves::{Handle, Reason, Report, Server};
use smol::{LocalExecutor, Task};

use super::*;

/// The bytes that the pipe to a client holds.
const PIPE_BYTES: usize = 64;

struct Node {
    room: Arc<Room>,
    lines: Receiver<String>,
    server: Handle,
    ex: Rc<LocalExecutor<'static>>,
    connector: Connector,
    serving: Task<io::Result<Report>>,
}

impl Node {
    fn new() -> Self {
        let ex = Rc::new(LocalExecutor::new());
        let (listener, connector) = memory::listener(PIPE_BYTES);
        let (room, lines) = Room::new("a");
        let server = Server::default();
        let handle = server.handle();
        let chat = {
            let room = room.clone();
            async move |client: MemoryConnection| room.chat(client.erase()).await
        };
        let serving = ex.spawn(server.serve(ex.clone(), listener, chat));
        Self {
            room,
            lines,
            server: handle,
            ex,
            connector,
            serving,
        }
    }

    /// The output of a future. None if it waits, and no task can go on.
    fn poll<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        // A half that has used its budget yields once.
        let mut stuck = false;
        loop {
            let output = future::block_on(future::poll_once(future.as_mut()));
            let goes_on = self.ex.try_tick();
            while self.ex.try_tick() {}
            if output.is_some() || (stuck && !goes_on) {
                return output;
            }
            stuck = !goes_on;
        }
    }

    fn join(&self) -> MemoryConnection {
        let client = self.poll(self.connector.connect());
        client.expect("it accepts").expect("it serves")
    }

    fn say(&self, client: &mut MemoryConnection, text: &str) {
        let written = self.poll(client.writer.write_all(text.as_bytes()));
        written.expect("it reads").expect("it is open");
    }

    /// The next line of a client. None at the end.
    fn line(&self, client: &mut MemoryConnection) -> Option<String> {
        let line = self.poll(client.reader.line()).expect("a line");
        let line = line.expect("whole lines")?;
        Some(String::from_utf8(line).expect("text"))
    }

    /// Delivers a message of another node.
    fn deliver(&self, number: u64) {
        let message = format!("b.1 {number} <b-1> {number}");
        self.room.deliver(message.as_bytes());
    }

    /// Delivers messages while `reader` reads each.
    fn deliver_all(&self, numbers: std::ops::RangeInclusive<u64>, reader: &mut MemoryConnection) {
        for number in numbers {
            self.deliver(number);
            let line = self.line(reader);
            assert_eq!(line, Some(format!("<b-1> {number}\n")));
        }
    }
}

#[test]
fn a_line_leaves_with_the_name_of_its_client() {
    let node = Node::new();
    let mut client = node.join();
    node.say(&mut client, "hello\r\n\n");
    assert_eq!(node.lines.try_recv(), Ok("<a-1> hello".into()));
    assert_eq!(node.lines.try_recv(), Ok("<a-1> ".into()));
    assert!(node.lines.is_empty());
}

#[test]
fn characters_that_control_a_terminal_are_removed() {
    let node = Node::new();
    let mut client = node.join();
    node.say(&mut client, "a\x1b[2J\rb\u{9b}c\n");
    assert_eq!(node.lines.try_recv(), Ok("<a-1> a[2Jbc".into()));
}

#[test]
fn a_line_that_is_too_long_ends_only_its_sender() {
    let node = Node::new();
    let (mut client, mut shouter) = (node.join(), node.join());
    let longest = "x".repeat(MAX_LINE_BYTES);
    node.say(&mut shouter, &format!("{longest}\n"));
    assert_eq!(node.lines.try_recv(), Ok(format!("<a-2> {longest}")));
    let _ = node.poll(shouter.writer.write_all(format!("{longest}x\n").as_bytes()));
    assert_eq!(node.line(&mut shouter), None);
    assert!(node.lines.is_empty());
    node.deliver_all(1..=1, &mut client);
}

#[test]
fn a_message_reaches_each_client_once() {
    let node = Node::new();
    let mut clients = [node.join(), node.join()];
    for number in [1, 2, 2, 1, 3] {
        node.deliver(number);
    }
    node.room.deliver(b"no message");
    for client in &mut clients {
        let lines = [(); 3].map(|()| node.line(client).expect("a line"));
        assert_eq!(lines, ["<b-1> 1\n", "<b-1> 2\n", "<b-1> 3\n"]);
        assert!(node.poll(client.reader.line()).is_none());
    }
}

#[test]
fn missing_messages_are_announced_with_their_number() {
    let node = Node::new();
    let mut client = node.join();
    node.deliver_all(5..=5, &mut client);
    node.deliver(9);
    let lines = [(); 2].map(|()| node.line(&mut client).expect("a line"));
    assert_eq!(lines, ["* 3 messages of node b were lost\n", "<b-1> 9\n"]);
}

#[test]
fn a_link_that_is_down_is_announced_also_to_clients_that_join_meanwhile() {
    let node = Node::new();
    let mut early = node.join();
    node.room.set_linked(false);
    let mut late = node.join();
    node.room.set_linked(true);
    let mut last = node.join();
    for client in [&mut early, &mut late] {
        assert_eq!(node.line(client).as_deref(), Some(LINK_DOWN));
        assert_eq!(node.line(client).as_deref(), Some(LINK_UP));
    }
    node.deliver_all(1..=1, &mut last);
}

#[test]
fn a_client_that_does_not_read_is_reset_when_its_queue_is_full() {
    let node = Node::new();
    let (mut reader, mut silent) = (node.join(), node.join());
    // Eight lines are in the pipe, and one is in the hands of the handler.
    assert_eq!(PIPE_BYTES / "<b-1> 1\n".len(), 8);
    let most = 8 + 1 + MAX_QUEUED_LINES as u64;
    node.deliver_all(1..=most, &mut reader);
    assert_eq!(node.server.stats().open, 2);
    node.deliver_all(most + 1..=most + 1, &mut reader);
    assert_eq!(node.server.stats().ended[Reason::Error], 1);
    assert!(node.poll(silent.reader.line()).is_some());
    node.deliver_all(most + 2..=most + 9, &mut reader);
}

#[test]
fn clients_that_talk_wait_while_redis_takes_nothing() {
    let node = Node::new();
    let (mut talker, mut other) = (node.join(), node.join());
    // These are in the channel, in the hands of the handler, and in the pipe.
    let lines = (0..MAX_UNPUBLISHED_LINES).map(|n| format!("{n}\n"));
    node.say(&mut talker, &lines.collect::<String>());
    let rest = "y\n".repeat(PIPE_BYTES * 100);
    let mut talking = pin!(talker.writer.write_all(rest.as_bytes()));
    assert!(node.poll(talking.as_mut()).is_none(), "it waits");
    assert_eq!(node.lines.len(), MAX_UNPUBLISHED_LINES);
    // The others are served meanwhile, and the talker too.
    node.deliver_all(1..=1, &mut other);
    for n in 0..MAX_UNPUBLISHED_LINES {
        assert_eq!(node.lines.try_recv(), Ok(format!("<a-1> {n}")));
    }
    let mut taken = 0;
    while node.poll(talking.as_mut()).is_none() || !node.lines.is_empty() {
        while let Ok(line) = node.lines.try_recv() {
            assert_eq!(line, "<a-1> y");
            taken += 1;
        }
    }
    assert_eq!(taken, PIPE_BYTES * 100);
}

#[test]
fn a_drain_ends_a_client_once_its_queue_is_sent() {
    let node = Node::new();
    let mut client = node.join();
    for number in 1..=100 {
        node.deliver(number);
    }
    node.server.shutdown().drain();
    for number in 1..=100 {
        let line = node.line(&mut client);
        assert_eq!(line, Some(format!("<b-1> {number}\n")));
    }
    drop(client);
    let Node { ex, serving, .. } = node;
    let report = future::block_on(ex.run(serving)).expect("no error");
    assert_eq!((report.finished, report.aborted), (1, 0));
}

#[test]
fn a_closed_room_ends_after_its_last_lines() {
    let node = Node::new();
    let mut client = node.join();
    node.say(&mut client, "last\n");
    node.room.close();
    assert_eq!(node.lines.try_recv(), Ok("<a-1> last".into()));
    assert!(future::block_on(node.lines.recv()).is_err());
}
