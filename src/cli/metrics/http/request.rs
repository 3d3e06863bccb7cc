//! The head of a request, and the rules for it.

use httparse::{EMPTY_HEADER, Error, Header, Status as Parsed};

use super::{Response, Status};

/// The number of header fields of a request. Browsers send about 20.
pub(super) const MAX_HEADERS: usize = 64;

/// A request that can be answered: GET or HEAD, and no body.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli::metrics) struct Request {
    pub(in crate::cli::metrics) is_head: bool,
    /// Begins with a slash.
    pub(in crate::cli::metrics) path: String,
    /// The part after the question mark.
    pub(in crate::cli::metrics) query: String,
    /// The values of all `Accept` fields, with a comma between two.
    pub(in crate::cli::metrics) accept: String,
    /// The `Host` field, without the port.
    pub(in crate::cli::metrics) host: Option<String>,
    /// True if the client expects the connection to stay open.
    pub(in crate::cli::metrics) keeps_alive: bool,
}

impl Request {
    /// Parses a head with the empty line at its end. An error is the response to it, and ends the
    /// connection: the bytes that follow may be a body, so they are never read as a request.
    pub(super) fn parse(head: &[u8]) -> Result<Self, Response> {
        if has_bare_line_end(head) {
            return Err(bad("a line does not end with CR LF"));
        }
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(Parsed::Complete(_)) => {}
            Ok(Parsed::Partial) => return Err(bad("the request is incomplete")),
            Err(error) => return Err(refusal(error)),
        }
        let target = request.path.unwrap_or_default();
        let is_head = match request.method {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => {
                let refusal = Response::error(Status::METHOD_NOT_ALLOWED, "only GET and HEAD");
                return Err(refusal.with("Allow", "GET, HEAD"));
            }
        };
        let (path, query) = path_and_query(target).ok_or_else(|| bad("the target is no path"))?;
        let is_1_1 = request.version == Some(1);
        let fields = Fields(request.headers);
        fields.check_no_body()?;
        Ok(Self {
            is_head,
            path: path.to_owned(),
            query: query.to_owned(),
            accept: fields.list("Accept")?,
            host: fields.host(is_1_1)?,
            keeps_alive: is_1_1 && !has_token(&fields.list("Connection")?, "close"),
        })
    }
}

/// The header fields of a request.
struct Fields<'a>(&'a [Header<'a>]);

impl Fields<'_> {
    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = move |header: &&Header<'_>| header.name.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).map(|header| header.value)
    }

    fn list(&self, name: &str) -> Result<String, Response> {
        let values: Result<Vec<&str>, _> = self.values(name).map(str::from_utf8).collect();
        let values = values.map_err(|_| bad(&format!("the {name} field is no text")))?;
        Ok(values.join(", "))
    }

    /// A request with a body is refused, whatever its length field says.
    fn check_no_body(&self) -> Result<(), Response> {
        let has_length = self.values("Content-Length").any(|length| length != b"0");
        if has_length || self.values("Transfer-Encoding").next().is_some() {
            let text = "a request must have no body";
            return Err(Response::error(Status::CONTENT_TOO_LARGE, text));
        }
        Ok(())
    }

    /// Returns the host without its port. HTTP/1.1 requires exactly one field (RFC 9112, 3.2).
    fn host(&self, is_required: bool) -> Result<Option<String>, Response> {
        let mut values = self.values("Host");
        let host = match (values.next(), values.next()) {
            (Some(host), None) => host,
            (None, _) if !is_required => return Ok(None),
            (None, _) => return Err(bad("the Host field is missing")),
            (_, Some(_)) => return Err(bad("there are several Host fields")),
        };
        let host = str::from_utf8(host).map_err(|_| bad("the Host field is no text"))?;
        Ok(Some(without_port(host).to_owned()))
    }
}

fn bad(problem: &str) -> Response {
    Response::error(Status::BAD_REQUEST, problem)
}

fn refusal(error: Error) -> Response {
    match error {
        Error::TooManyHeaders => {
            let text = format!("more than {MAX_HEADERS} header fields");
            Response::error(Status::HEAD_TOO_LARGE, &text)
        }
        Error::Version => Response::error(Status::VERSION_NOT_SUPPORTED, "only HTTP/1.1 and 1.0"),
        error => bad(&error.to_string()),
    }
}

/// Returns true if a line ends with LF alone. A proxy may take such a line for a part of the one
/// before it, and so see another request.
fn has_bare_line_end(head: &[u8]) -> bool {
    let mut lines = head.split(|&byte| byte == b'\n');
    // Nothing follows the last line end.
    lines.next_back();
    lines.any(|line| !line.ends_with(b"\r"))
}

/// Splits `/path?query` and `http://host/path?query`.
fn path_and_query(target: &str) -> Option<(&str, &str)> {
    let target = match target.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
            rest.find(['/', '?']).map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match path {
        "" => Some(("/", query)),
        path => path.starts_with('/').then_some((path, query)),
    }
}

/// Returns true if a list has this token, in any case.
fn has_token(list: &str, token: &str) -> bool {
    let mut tokens = list.split(',').map(str::trim);
    tokens.any(|one| one.eq_ignore_ascii_case(token))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    }
}
