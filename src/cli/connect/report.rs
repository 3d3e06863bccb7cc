//! The facts about one connection: as JSON for scripts, as lines for people.

use std::fmt::Write;
use std::time::Duration;

use halves::tls::{Info, PeerCertificate};
use halves::{ConnectTimings, Connection, Endpoint};

use super::traffic::Traffic;
use super::verdict::End;
use crate::cli::format::{Line, append_quoted};

/// The facts that are known so far.
#[derive(Debug)]
pub(super) struct Report {
    /// The address as it was given.
    pub(super) address: String,
    pub(super) timings: ConnectTimings,
    pub(super) traffic: Traffic,
    /// None before the connection exists.
    ends: Option<Ends>,
}

#[derive(Debug)]
struct Ends {
    peer: Endpoint,
    local: Endpoint,
    tls: Option<std::sync::Arc<Info>>,
}

impl Report {
    pub(super) fn new(address: String, traffic: Traffic) -> Self {
        Self {
            address,
            timings: ConnectTimings::default(),
            traffic,
            ends: None,
        }
    }

    /// Takes the addresses of a connection, and the facts of its TLS.
    pub(super) fn set_connection(&mut self, connection: &Connection) {
        self.ends = Some(Ends {
            peer: connection.peer.endpoint(),
            local: connection.peer.local(),
            tls: connection.peer.tls(),
        });
    }

    /// Returns the line about a new connection.
    pub(super) fn opened(&self) -> Line {
        let mut line = Line::new("opened").word("address", &self.address);
        if let Some(ends) = &self.ends {
            line = line.word("peer", &ends.peer).word("local", &ends.local);
        }
        for (key, time) in [
            ("name_ms", self.timings.name),
            ("connect_ms", self.timings.connect),
            ("tls_ms", self.timings.tls),
        ] {
            if let Some(time) = time {
                line = line.number(key, time.as_millis());
            }
        }
        let Some(tls) = self.ends.as_ref().and_then(|ends| ends.tls.as_ref()) else {
            return line;
        };
        line = line
            .word("tls", &tls.version())
            .word("cipher", tls.cipher_suite());
        match tls.alpn() {
            Some(protocol) => line.word("alpn", &String::from_utf8_lossy(protocol)),
            None => line,
        }
    }

    /// Returns the line about the end.
    pub(super) fn closed(&self, end: &End) -> Line {
        Line::new("closed")
            .word("reason", end.verdict.word())
            .number("in", self.traffic.bytes_in())
            .number("out", self.traffic.bytes_out())
            .number("ms", self.traffic.age().as_millis())
    }

    /// Returns one object on one line. What is not known is null.
    pub(super) fn json(&self, end: &End) -> String {
        let mut out = Object::begin();
        let ends = self.ends.as_ref();
        out.text("address", Some(&self.address));
        out.text("peer", ends.map(|ends| ends.peer.to_string()).as_deref());
        out.text("local", ends.map(|ends| ends.local.to_string()).as_deref());
        out.text("verdict", Some(end.verdict.word()));
        out.raw("code", end.verdict.code());
        out.text("error", end.problem.as_deref());
        out.raw("bytes_in", self.traffic.bytes_in());
        out.raw("bytes_out", self.traffic.bytes_out());
        let mut times = Object::begin();
        times.millis("name", self.timings.name);
        times.millis("connect", self.timings.connect);
        times.millis("tls", self.timings.tls);
        times.millis("first_byte", self.traffic.first_byte());
        times.millis("total", Some(self.traffic.age()));
        out.raw("ms", times.end());
        match ends.and_then(|ends| ends.tls.as_ref()) {
            Some(tls) => out.raw("tls", facts(tls)),
            None => out.raw("tls", "null"),
        }
        out.end() + "\n"
    }
}

fn facts(tls: &Info) -> String {
    let mut out = Object::begin();
    out.text("version", Some(&tls.version().to_string()));
    out.text("cipher", Some(tls.cipher_suite()));
    out.text("server_name", tls.server_name());
    let alpn = tls.alpn().map(String::from_utf8_lossy);
    out.text("alpn", alpn.as_deref());
    let certificate = tls.peer_certificate();
    let subject = certificate.and_then(PeerCertificate::subject);
    out.text("subject", subject.as_deref());
    let fingerprint = certificate.map(PeerCertificate::fingerprint);
    out.text("sha256", fingerprint.as_deref());
    out.end()
}

/// A JSON object, member by member.
struct Object(String);

impl Object {
    fn begin() -> Self {
        Self("{".to_owned())
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        append_quoted(key, &mut self.0);
        self.0.push(':');
    }

    fn text(&mut self, key: &str, text: Option<&str>) {
        self.key(key);
        match text {
            Some(text) => append_quoted(text, &mut self.0),
            None => self.0.push_str("null"),
        }
    }

    /// Adds a number, or JSON.
    fn raw(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        let _ = write!(self.0, "{value}");
    }

    fn millis(&mut self, key: &str, time: Option<Duration>) {
        match time {
            Some(time) => {
                let micros = time.as_micros();
                self.raw(key, format_args!("{}.{:03}", micros / 1000, micros % 1000));
            }
            None => self.text(key, None),
        }
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use halves::Clock;

    use super::*;
    use crate::cli::connect::verdict::Verdict;

    #[test]
    fn what_is_not_known_is_null() {
        let (clock, manual) = Clock::manual();
        let mut report = Report::new("a\"b:1".to_owned(), Traffic::new(clock));
        report.timings.name = Some(Duration::from_micros(1500));
        manual.advance(Duration::from_micros(20_007));
        let end = End::new(Verdict::NotResolved, "no\nsuch name");
        assert_eq!(
            report.json(&end),
            concat!(
                r#"{"address":"a\"b:1","peer":null,"local":null,"verdict":"not_resolved","#,
                r#""code":10,"error":"no\nsuch name","bytes_in":0,"bytes_out":0,"#,
                r#""ms":{"name":1.500,"connect":null,"tls":null,"first_byte":null,"#,
                r#""total":20.007},"tls":null}"#,
                "\n"
            )
        );
    }
}
