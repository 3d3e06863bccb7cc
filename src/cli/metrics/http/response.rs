//! A response, and its bytes.

use std::borrow::Cow;

/// The status of a response, with its reason phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::metrics) struct Status(&'static str);

impl Status {
    pub(in crate::cli::metrics) const OK: Self = Self("200 OK");
    pub(in crate::cli::metrics) const BAD_REQUEST: Self = Self("400 Bad Request");
    pub(in crate::cli::metrics) const NOT_FOUND: Self = Self("404 Not Found");
    pub(super) const METHOD_NOT_ALLOWED: Self = Self("405 Method Not Allowed");
    pub(super) const REQUEST_TIMEOUT: Self = Self("408 Request Timeout");
    pub(super) const CONTENT_TOO_LARGE: Self = Self("413 Content Too Large");
    pub(in crate::cli::metrics) const MISDIRECTED: Self = Self("421 Misdirected Request");
    pub(super) const HEAD_TOO_LARGE: Self = Self("431 Request Header Fields Too Large");
    pub(in crate::cli::metrics) const UNAVAILABLE: Self = Self("503 Service Unavailable");
    pub(super) const VERSION_NOT_SUPPORTED: Self = Self("505 HTTP Version Not Supported");
}

/// Sent with every response. Nothing here is for caches, other sites or frames.
const ALWAYS: &[(&str, &str)] = &[
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
];

/// The response to a request.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli::metrics) struct Response {
    status: Status,
    fields: Vec<(&'static str, &'static str)>,
    body: Cow<'static, str>,
}

impl Response {
    pub(in crate::cli::metrics) fn new(
        status: Status,
        content_type: &'static str,
        body: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            fields: vec![("Content-Type", content_type)],
            body: body.into(),
        }
    }

    /// A line of text.
    pub(in crate::cli::metrics) fn text(status: Status, line: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{line}\n"))
    }

    /// A line of text that begins with the status.
    pub(in crate::cli::metrics) fn error(status: Status, problem: &str) -> Self {
        Self::text(status, &format!("{}: {problem}", status.0))
    }

    pub(in crate::cli::metrics) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.fields.push((name, value));
        self
    }

    /// Returns head and body. The head is the same whether the body follows or not (RFC 9110,
    /// 9.3.2).
    pub(super) fn encode(&self, without_body: bool, closes: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {}\r\n", self.status.0);
        for (name, value) in self.fields.iter().chain(ALWAYS) {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let length = self.body.len().to_string();
        head.extend(["Content-Length: ", &length, "\r\n"]);
        if closes {
            head += "Connection: close\r\n";
        }
        head += "\r\n";
        if !without_body {
            head += &self.body;
        }
        head.into_bytes()
    }
}
