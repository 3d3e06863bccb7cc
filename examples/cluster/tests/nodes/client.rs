//! A client of a node, and what it has received.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use futures_lite::AsyncWriteExt;
use halves::{Connection, connect};

/// A client that says `NAME NUMBER` in each line.
pub(crate) struct Client {
    pub(crate) name: String,
    connection: Connection,
    /// The lines that have come, without those before it joined.
    pub(crate) lines: Vec<String>,
}

impl Client {
    /// Connects, and waits until it is in the room: its own line comes back.
    pub(crate) async fn join(name: String, address: &str) -> io::Result<Self> {
        let connection = connect(address).await?;
        let lines = Vec::new();
        let mut client = Self {
            name,
            connection,
            lines,
        };
        let hello = format!("{} joins", client.name);
        client.say(&hello).await?;
        client.wait_for(1, &hello).await?;
        Ok(client)
    }

    pub(crate) async fn say(&mut self, text: &str) -> io::Result<()> {
        let line = format!("{text}\n");
        self.connection.writer.write_all(line.as_bytes()).await
    }

    /// Says the numbered lines, and then `mark`.
    pub(crate) async fn talk(&mut self, numbers: Range<u32>, mark: &str) -> io::Result<()> {
        for number in numbers {
            let text = format!("{} {number}", self.name);
            self.say(&text).await?;
        }
        self.say(mark).await
    }

    /// Receives until `count` more lines end with `end`.
    pub(crate) async fn wait_for(&mut self, count: usize, end: &str) -> io::Result<()> {
        let mut seen = 0;
        while seen < count {
            let line = self.connection.reader.line().await?;
            let line = line.ok_or(io::ErrorKind::UnexpectedEof)?;
            let line = String::from_utf8(line).expect("text");
            let line = line.trim_end();
            seen += usize::from(line.ends_with(end));
            self.lines.push(line.into());
        }
        Ok(())
    }

    /// Receives until the connection is ended or reset.
    pub(crate) async fn wait_for_the_end(&mut self) {
        while let Ok(Some(_)) = self.connection.reader.line().await {}
    }

    /// The numbers that it has received of each client, by name.
    pub(crate) fn received(&self) -> BTreeMap<&str, Vec<u32>> {
        let mut received = BTreeMap::<_, Vec<_>>::new();
        for line in &self.lines {
            let mut words = line.split(' ').skip(1);
            let (name, number) = (words.next(), words.next());
            if let (Some(name), Some(Ok(number))) = (name, number.map(str::parse)) {
                received.entry(name).or_default().push(number);
            }
        }
        received
    }

    /// The number of messages of a node that were announced as lost.
    pub(crate) fn lost(&self, node: &str) -> usize {
        let end = format!(" messages of node {node} were lost");
        let counts = self.lines.iter().filter_map(|line| {
            let count = line.strip_prefix("* ")?.strip_suffix(&end)?;
            count.parse::<usize>().ok()
        });
        counts.sum()
    }
}
