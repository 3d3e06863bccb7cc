//! Exchanges in memory, on a clock that stands still until a test moves it.

use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use halves::listener::memory::{self, PipeReader, PipeWriter};
use halves::time::ManualClock;

use super::request::MAX_HEADERS;
use super::*;

/// More than any test writes.
const PIPE_BYTES: usize = 1 << 20;

type Pipes = Connection<PipeReader, PipeWriter>;

/// Answers each request with its path until the connection ends.
async fn serve(connection: Pipes, clock: Clock) -> io::Result<()> {
    let mut exchange = Exchange::new(connection, clock);
    while let Some(request) = exchange.next().await? {
        let response = Response::text(Status::OK, &request.path);
        exchange.respond(&response).await?;
    }
    Ok(())
}

/// Sends bytes and the end of input, and returns the answer.
fn ask(bytes: &[u8]) -> String {
    let (near, far) = memory::pair(PIPE_BYTES);
    let (clock, _manual) = Clock::manual();
    let client = async {
        let Connection {
            mut reader,
            mut writer,
            ..
        } = far;
        writer.write_all(bytes).await.expect("it has room");
        writer.close().await.expect("it is open");
        let mut answer = String::new();
        reader.read_to_string(&mut answer).await.expect("text");
        answer
    };
    let (served, answer) = future::block_on(future::zip(serve(near, clock), client));
    served.expect("it ends in order");
    answer
}

/// The status of the first answer.
fn status(answer: &str) -> &str {
    answer
        .strip_prefix("HTTP/1.1 ")
        .map_or("", |rest| &rest[..3])
}

/// A request with these fields after the host.
fn get(fields: &str) -> Vec<u8> {
    format!("GET /a HTTP/1.1\r\nHost: x\r\n{fields}\r\n").into_bytes()
}

#[test]
fn a_response_has_its_length_and_is_not_stored() {
    assert_eq!(
        ask(b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"),
        "HTTP/1.1 200 OK\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Cache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n\
         Referrer-Policy: no-referrer\r\n\
         Content-Length: 3\r\n\
         \r\n\
         /a\n"
    );
}

#[test]
fn head_has_the_same_head_and_no_body() {
    let get = ask(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = ask(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(format!("{head}/a\n"), get);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let one = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = ask(format!(
        "\r\n{one}{}{}",
        one.replace('1', "2").replace("/2.2", "/1.1"),
        one.replace("/1 ", "/3 ")
    )
    .as_bytes());
    let bodies: Vec<_> = answer
        .lines()
        .filter(|line| line.starts_with('/'))
        .collect();
    assert_eq!(bodies, ["/1", "/2", "/3"]);
}

#[test]
fn the_connection_closes_when_it_is_asked_to() {
    for first in [
        "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: x\r\nconnection: Keep-Alive, CLOSE\r\n\r\n",
        "GET /a HTTP/1.0\r\n\r\n",
        "GET /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
    ] {
        let answer = ask(format!("{first}GET /b HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert_eq!(status(&answer), "200", "{first}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
}

#[test]
fn the_last_of_too_many_requests_closes() {
    let requests = get("").repeat(MAX_REQUESTS + 1);
    let answer = ask(&requests);
    assert_eq!(answer.matches("HTTP/1.1 200").count(), MAX_REQUESTS);
    assert_eq!(answer.matches("Connection: close").count(), 1);
    assert!(!ask(&get("").repeat(MAX_REQUESTS - 1)).contains("Connection: close"));
}

#[test]
fn a_bad_request_is_refused_and_closes() {
    let long = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: x", "a".repeat(bytes));
    let shortest = long(0).len();
    let fits = format!("{}\r\n\r\n", long(MAX_HEAD_BYTES - shortest));
    let exceeds = format!("{}\r\n\r\n", long(MAX_HEAD_BYTES - shortest + 1));
    let fields = |count: usize| String::from_utf8(get(&"A: b\r\n".repeat(count))).expect("text");
    let cases: Vec<(String, &str)> = [
        ("nonsense\r\n\r\n", "400"),
        ("\x16\x03\x01\x02\n\n", "400"),
        ("GET\r\n\r\n", "400"),
        ("GET / HTTP/1.1\n\n", "400"),
        ("GET / HTTP/1.1\r\nHost: x\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "400"),
        ("GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "400"),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nAccept: \u{e9}\rb\r\n\r\n",
            "400",
        ),
        ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505"),
        ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
        ("get / HTTP/1.1\r\nHost: x\r\n\r\n", "405"),
    ]
    .into_iter()
    .map(|(request, status)| (request.to_owned(), status))
    .chain([(fits, "200"), (exceeds, "431")])
    .chain([
        (fields(MAX_HEADERS - 1), "200"),
        (fields(MAX_HEADERS), "431"),
    ])
    .collect();
    for (request, expected) in cases {
        let answer = ask(request.as_bytes());
        let shown = &request[..request.len().min(200)];
        assert_eq!(status(&answer), expected, "{shown}\n{answer}");
        assert_eq!(
            answer.contains("Connection: close"),
            expected != "200",
            "{shown}"
        );
    }
}

#[test]
fn another_method_is_answered_by_those_that_are_allowed() {
    let answer = ask(b"DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.contains("\r\nAllow: GET, HEAD\r\n"), "{answer}");
}

#[test]
fn a_body_is_never_taken_for_a_request() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for field in [
        format!("Content-Length: {}", smuggled.len()),
        "Content-Length: 0\r\nContent-Length: 40".to_owned(),
        "Content-Length: +0".to_owned(),
        "Content-Length: 0, 0".to_owned(),
        "Content-Length: 18446744073709551617".to_owned(),
        "Transfer-Encoding: chunked".to_owned(),
        "Transfer-Encoding: identity".to_owned(),
        "Content-Length: 0\r\nTransfer-Encoding: x".to_owned(),
        "transfer-encoding:\tchunked".to_owned(),
    ] {
        let mut bytes = get(&format!("{field}\r\n"));
        bytes.extend(smuggled.as_bytes());
        let answer = ask(&bytes);
        assert_eq!(status(&answer), "413", "{field}");
        assert!(!answer.contains("200"), "{answer}");
    }
    assert_eq!(status(&ask(&get("Content-Length: 0\r\n"))), "200");
}

#[test]
fn a_target_may_be_a_whole_address() {
    for (target, path) in [
        ("http://x/a/b?c", "/a/b"),
        ("HTTP://x:80", "/"),
        ("http://x?limit=1", "/"),
        ("/a?http://x/b", "/a"),
        ("/a://b", "/a://b"),
    ] {
        let answer = ask(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert!(
            answer.ends_with(&format!("\r\n\r\n{path}\n")),
            "{target}: {answer}"
        );
    }
}

#[test]
fn an_end_in_the_middle_of_a_request_ends_the_connection() {
    for bytes in [
        &b""[..],
        b"\r\n",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
    ] {
        assert_eq!(ask(bytes), "");
    }
}

/// The pipe of a client, and the server at its other end.
struct Session {
    client: Pipes,
    clock: ManualClock,
    server: std::pin::Pin<Box<dyn Future<Output = io::Result<()>>>>,
}

impl Session {
    fn begin(pipe_bytes: usize) -> Self {
        let (near, client) = memory::pair(pipe_bytes);
        let (clock, manual) = Clock::manual();
        Self {
            client,
            clock: manual,
            server: Box::pin(serve(near, clock)),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        future::block_on(self.client.writer.write_all(bytes)).expect("it has room");
        assert!(self.poll().is_none(), "it still serves");
    }

    fn poll(&mut self) -> Option<io::Result<()>> {
        // A timeout polls once more before it is over.
        future::block_on(async {
            let first = future::poll_once(&mut self.server).await;
            match first {
                None => future::poll_once(&mut self.server).await,
                done => done,
            }
        })
    }

    /// Asserts that the server ends after this time, and not before. Returns its result.
    fn ends_after(&mut self, time: Duration) -> io::Result<()> {
        assert!(self.poll().is_none(), "it still serves");
        self.clock.advance(time - Duration::from_millis(1));
        assert!(self.poll().is_none(), "it serves until then");
        self.clock.advance(Duration::from_millis(1));
        self.poll().expect("it has ended")
    }

    /// All that the client can read.
    fn answer(mut self) -> String {
        drop(self.server);
        let mut answer = Vec::new();
        let _ = future::block_on(self.client.reader.read_to_end(&mut answer));
        String::from_utf8(answer).expect("text")
    }
}

#[test]
fn a_connection_without_a_request_is_closed_in_time() {
    let mut session = Session::begin(PIPE_BYTES);
    session.ends_after(HEAD_TIMEOUT).expect("it ends in order");
    assert_eq!(session.answer(), "");
}

#[test]
fn a_head_that_comes_slowly_is_refused_in_time() {
    let mut session = Session::begin(PIPE_BYTES);
    session.send(b"G");
    session.clock.advance(HEAD_TIMEOUT / 2);
    session.send(b"ET / HTTP/1.1\r\n");
    session
        .ends_after(HEAD_TIMEOUT / 2)
        .expect("it ends in order");
    assert_eq!(status(&session.answer()), "408");
}

#[test]
fn empty_lines_do_not_extend_the_time_of_a_head() {
    let mut session = Session::begin(PIPE_BYTES);
    session.send(b"\r\n\r\n");
    session.clock.advance(HEAD_TIMEOUT / 2);
    session.send(b"\r\n\r\n");
    session
        .ends_after(HEAD_TIMEOUT / 2)
        .expect("it ends in order");
}

#[test]
fn a_connection_may_be_idle_between_two_requests() {
    let mut session = Session::begin(PIPE_BYTES);
    session.send(&get(""));
    session
        .clock
        .advance(IDLE_TIMEOUT - Duration::from_millis(1));
    session.send(&get(""));
    session.ends_after(IDLE_TIMEOUT).expect("it ends in order");
    assert_eq!(session.answer().matches("200 OK").count(), 2);
}

#[test]
fn a_client_that_takes_no_response_is_given_up_in_time() {
    let mut session = Session::begin(64);
    session.send(&get(""));
    let error = session.ends_after(RESPONSE_TIMEOUT).expect_err("a timeout");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}
