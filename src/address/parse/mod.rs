//! Parses the text of an address.

use std::net::Ipv6Addr;
use std::os::fd::RawFd;
use std::path::PathBuf;

use super::settings::{self, ParseProblem, parse_digits};
use super::{Address, ListenOptions};

const EMPTY_ADDRESS_MESSAGE: &str =
    "it is empty; write HOST:PORT, PORT, :PORT, [V6]:PORT, /PATH, @NAME, fd:N, sd-listen or -";
const NO_PORT_MESSAGE: &str = "it has no port; write HOST:PORT, or ./PATH for a Unix socket";
const BAD_PORT_MESSAGE: &str = "the port is not a number from 0 to 65535";
const BAD_HOST_MESSAGE: &str = "the host has an invalid character; a path begins with / or ./";
const TOO_MANY_COLONS_MESSAGE: &str =
    "it has too many colons; write HOST:PORT, or [V6]:PORT with an IPv6 address in brackets";
const NO_PORT_AFTER_BRACKETS_MESSAGE: &str =
    "an IPv6 address stands in brackets, and its port follows: [::1]:50007";

pub(super) fn address(text: &str) -> Result<Address, ParseProblem> {
    let mut parts = split(text);
    let head = parts.remove(0);
    let address = match &*head {
        "" => return Err(EMPTY_ADDRESS_MESSAGE.into()),
        "-" | "stdio" => Address::Stdio,
        "sd-listen" => activation(None),
        text if is_path(text) => PathBuf::from(text).into(),
        text => match text.split_once(':') {
            Some(("unix", path)) => unix(path)?,
            Some(("fd", number)) => fd(number)?,
            Some(("sd-listen", "")) => return Err("there is no name after sd-listen:".into()),
            Some(("sd-listen", name)) => activation(Some(name)),
            _ if text.starts_with('@') => abstract_name(&text[1..])?,
            _ => tcp(text)?,
        },
    };
    settings::apply(address, &parts)
}

/// Splits a text at commas. `\,` is a comma that does not separate, `\\` a backslash.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_escape = c == '\\' && matches!(chars.peek(), Some(',' | '\\'));
        match (c, parts.last_mut()) {
            (',', _) => parts.push(String::new()),
            (_, Some(part)) if is_escape => part.extend(chars.next()),
            (_, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    parts
}

fn is_path(text: &str) -> bool {
    ["/", "./", "../"]
        .iter()
        .any(|prefix| text.starts_with(prefix))
}

fn unix(path: &str) -> Result<Address, ParseProblem> {
    match path.chars().next() {
        None => Err("there is no path after unix:".into()),
        Some('@') => Err("write @NAME for an abstract name, or unix:./@NAME for a path".into()),
        Some(_) => Ok(PathBuf::from(path).into()),
    }
}

fn abstract_name(name: &str) -> Result<Address, ParseProblem> {
    match name {
        "" => Err("there is no name after the @".into()),
        name => Ok(Address::Abstract { name: name.into() }),
    }
}

fn fd(number: &str) -> Result<Address, ParseProblem> {
    let number: RawFd =
        parse_digits(number).ok_or("the text after fd: is not a number from 0 up")?;
    let options = ListenOptions::default();
    Ok(Address::Fd { number, options })
}

fn activation(name: Option<&str>) -> Address {
    Address::Activation {
        name: name.map(str::to_owned),
        options: ListenOptions::default(),
    }
}

fn tcp(text: &str) -> Result<Address, ParseProblem> {
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(scheme_problem(scheme, rest));
    }
    let (host, port) = match text.rsplit_once(':') {
        None if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            ("127.0.0.1", text)
        }
        None => return Err(NO_PORT_MESSAGE.into()),
        Some((host, port)) => (check_host(text, host, port)?, port),
    };
    let port = match (parse_digits(port), port) {
        (Some(port), _) => port,
        (None, "") => return Err(no_port_problem(text)),
        (None, _) => return Err(BAD_PORT_MESSAGE.into()),
    };
    Ok(Address::Tcp {
        host: host.to_owned(),
        port,
        options: ListenOptions::default(),
    })
}

/// Returns the host without the brackets, which are required for IPv6 and forbidden otherwise.
fn check_host<'a>(text: &str, host: &'a str, port: &str) -> Result<&'a str, ParseProblem> {
    if let Some(inner) = within_brackets(host) {
        return match inner {
            v6 if is_v6(v6) => Ok(v6),
            name if is_host(name) => {
                Err(format!("only an IPv6 address stands in brackets; write {name}:{port}").into())
            }
            _ => Err("only an IPv6 address stands in brackets".into()),
        };
    }
    match within_brackets(text) {
        Some(v6) if is_v6(v6) => Err(format!("it has no port; write [{v6}]:PORT").into()),
        _ if is_v6(host) => Err(format!("{NEEDS_BRACKETS_MESSAGE}; write [{host}]:{port}").into()),
        _ if is_v6(text) => Err(format!("{NEEDS_BRACKETS_MESSAGE}; write [{text}]:PORT").into()),
        _ if host == "*" => Err(format!("write :{port} for every interface").into()),
        _ if port.is_empty() => Err(no_port_problem(text)),
        _ if host.contains(['[', ']']) => Err(NO_PORT_AFTER_BRACKETS_MESSAGE.into()),
        _ if host.contains(':') => Err(TOO_MANY_COLONS_MESSAGE.into()),
        _ if host.is_empty() || is_host(host) => Ok(host),
        _ => Err(BAD_HOST_MESSAGE.into()),
    }
}

const NEEDS_BRACKETS_MESSAGE: &str = "an IPv6 address stands in brackets";

fn within_brackets(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

fn is_v6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "zone"));
    address.parse::<Ipv6Addr>().is_ok() && is_host(zone)
}

/// Returns true if the text can be a host name or an IPv4 address.
fn is_host(text: &str) -> bool {
    let is_invalid = |c: char| c.is_whitespace() || c.is_control() || ":[]/\\,@?#*".contains(c);
    !text.is_empty() && !text.contains(is_invalid)
}

/// Describes the error of a text that looks like a URL.
fn scheme_problem(scheme: &str, rest: &str) -> ParseProblem {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let problem = format!("{scheme}:// is not part of an address");
    with_advice(&problem, &rest[..end])
}

/// Describes the error of an address that ends with a colon.
fn no_port_problem(text: &str) -> ParseProblem {
    let problem = "there is no port after the last colon";
    with_advice(problem, text.trim_end_matches(':'))
}

/// Adds the address to write instead, as far as `rest` is one.
fn with_advice(problem: &str, rest: &str) -> ParseProblem {
    let advice = match tcp(rest) {
        Ok(_) => rest,
        Err(_) if is_host(rest) => &format!("{rest}:PORT"),
        Err(_) => "HOST:PORT",
    };
    format!("{problem}; write {advice}").into()
}

#[cfg(test)]
mod tests;
