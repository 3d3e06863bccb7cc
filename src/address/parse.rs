//! From the text of an address to what it means.

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;

use super::{Address, ListenOptions, settings};

/// What is wrong with a text, and what to write instead where that is known.
pub(super) type Problem = Cow<'static, str>;

const EMPTY: &str =
    "it is empty; write HOST:PORT, PORT, :PORT, [V6]:PORT, /PATH, @NAME, fd:N, sd-listen or -";
const NO_PORT: &str = "it has no port; write HOST:PORT, or ./PATH for a Unix socket";
const BAD_PORT: &str = "the port is not a number from 0 to 65535";
const BAD_HOST: &str = "the host has a character no host has; a path begins with / or ./";
const COLONS: &str =
    "it has too many colons; write HOST:PORT, or [V6]:PORT with an IPv6 address in brackets";
const BRACKETS: &str = "an IPv6 address stands in brackets, and its port follows: [::1]:50007";

pub(super) fn address(text: &str) -> Result<Address, Problem> {
    let mut parts = split(text);
    let head = parts.remove(0);
    let address = match &*head {
        "" => return Err(EMPTY.into()),
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

/// What stands between commas; `\,` is one that does not separate, `\\` a backslash.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let escaped = letter == '\\' && matches!(letters.peek(), Some(',' | '\\'));
        match (letter, parts.last_mut()) {
            (',', _) => parts.push(String::new()),
            (_, Some(part)) if escaped => part.extend(letters.next()),
            (_, Some(part)) => part.push(letter),
            (_, None) => {}
        }
    }
    parts
}

fn is_path(text: &str) -> bool {
    ["/", "./", "../"].iter().any(|at| text.starts_with(at))
}

fn unix(path: &str) -> Result<Address, Problem> {
    match path.chars().next() {
        None => Err("there is no path after unix:".into()),
        Some('@') => Err("write @NAME for an abstract name, or unix:./@NAME for a path".into()),
        Some(_) => Ok(PathBuf::from(path).into()),
    }
}

fn abstract_name(name: &str) -> Result<Address, Problem> {
    match name {
        "" => Err("there is no name after the @".into()),
        name => Ok(Address::Abstract { name: name.into() }),
    }
}

fn fd(number: &str) -> Result<Address, Problem> {
    let number: RawFd = digits(number).ok_or("what comes after fd: is not a number from 0 up")?;
    let options = ListenOptions::default();
    Ok(Address::Fd { number, options })
}

fn activation(name: Option<&str>) -> Address {
    Address::Activation {
        name: name.map(str::to_owned),
        options: ListenOptions::default(),
    }
}

fn tcp(text: &str) -> Result<Address, Problem> {
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(scheme_problem(scheme, rest));
    }
    let (host, port) = match text.rsplit_once(':') {
        None if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            ("127.0.0.1", text)
        }
        None => return Err(NO_PORT.into()),
        Some((host, port)) => (bare(text, host, port)?, port),
    };
    let port = match (digits(port), port) {
        (Some(port), _) => port,
        (None, "") => return Err(no_port_problem(text)),
        (None, _) => return Err(BAD_PORT.into()),
    };
    Ok(Address::Tcp {
        host: host.to_owned(),
        port,
        options: ListenOptions::default(),
    })
}

/// No sign, which the numbers of the standard library would read.
pub(super) fn digits<T: FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// The host without its brackets, which IPv6 must have and nothing else may.
fn bare<'a>(text: &str, host: &'a str, port: &str) -> Result<&'a str, Problem> {
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
        _ if is_v6(host) => Err(format!("{IN_BRACKETS}; write [{host}]:{port}").into()),
        _ if is_v6(text) => Err(format!("{IN_BRACKETS}; write [{text}]:PORT").into()),
        _ if host == "*" => Err(format!("write :{port} for every interface").into()),
        _ if port.is_empty() => Err(no_port_problem(text)),
        _ if host.contains(['[', ']']) => Err(BRACKETS.into()),
        _ if host.contains(':') => Err(COLONS.into()),
        _ if host.is_empty() || is_host(host) => Ok(host),
        _ => Err(BAD_HOST.into()),
    }
}

const IN_BRACKETS: &str = "an IPv6 address stands in brackets";

fn within_brackets(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

fn is_v6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "zone"));
    address.parse::<Ipv6Addr>().is_ok() && is_host(zone)
}

/// Whether it may be the name of a host, or an IPv4 address.
fn is_host(text: &str) -> bool {
    let unfit = |c: char| c.is_whitespace() || c.is_control() || ":[]/\\,@?#*".contains(c);
    !text.is_empty() && !text.contains(unfit)
}

/// Why what looks like the address of a page is none.
fn scheme_problem(scheme: &str, rest: &str) -> Problem {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let problem = format!("{scheme}:// is not part of an address");
    instead(&problem, &rest[..end])
}

/// Why an address does not end with a colon.
fn no_port_problem(text: &str) -> Problem {
    let problem = "there is no port after the last colon";
    instead(problem, text.trim_end_matches(':'))
}

/// A problem, and the address that `rest` is or may become.
fn instead(problem: &str, rest: &str) -> Problem {
    let write = match tcp(rest) {
        Ok(_) => rest,
        Err(_) if is_host(rest) => &format!("{rest}:PORT"),
        Err(_) => "HOST:PORT",
    };
    format!("{problem}; write {write}").into()
}

#[cfg(test)]
mod tests;
