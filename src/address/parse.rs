//! From the text of an address to what it means.

use std::net::IpAddr;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;

use super::{Access, Address, Owner};

/// What is wrong with a text.
type Problem = &'static str;

const EMPTY: Problem =
    "it is empty; write HOST:PORT, PORT, :PORT, [V6]:PORT, /PATH, @NAME, fd:N, sd-listen or -";
const NO_PORT: Problem = "it has no port; write HOST:PORT, or ./PATH for a Unix socket";
const BAD_PORT: Problem = "the port is not a number from 0 to 65535";
const ONLY_PATHS: Problem =
    "only a Unix socket with a path has settings, such as /run/x.sock,mode=0660";

pub(super) fn address(text: &str) -> Result<Address, Problem> {
    let mut parts = split(text);
    let head = parts.remove(0);
    let address = match &*head {
        "" => return Err(EMPTY),
        "-" | "stdio" => Address::Stdio,
        "sd-listen" => Address::Activation { name: None },
        text if is_path(text) => PathBuf::from(text).into(),
        text => match text.split_once(':') {
            Some(("unix", path)) => unix(path)?,
            Some(("fd", number)) => fd(number)?,
            Some(("sd-listen", name)) => activation(name)?,
            _ if text.starts_with('@') => abstract_name(&text[1..])?,
            _ => tcp(text)?,
        },
    };
    match address {
        address if parts.is_empty() => Ok(address),
        Address::Unix { path, .. } => {
            let access = access(&parts)?;
            Ok(Address::Unix { path, access })
        }
        _ => Err(ONLY_PATHS),
    }
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
        None => Err("there is no path after unix:"),
        Some('@') => Err("write @NAME for an abstract name, or unix:./@NAME for a path"),
        Some(_) => Ok(PathBuf::from(path).into()),
    }
}

fn abstract_name(name: &str) -> Result<Address, Problem> {
    match name {
        "" => Err("there is no name after the @"),
        name => Ok(Address::Abstract { name: name.into() }),
    }
}

fn fd(number: &str) -> Result<Address, Problem> {
    let number: RawFd = digits(number).ok_or("what comes after fd: is not a number from 0 up")?;
    Ok(Address::Fd { number })
}

fn activation(name: &str) -> Result<Address, Problem> {
    match name {
        "" => Err("there is no name after sd-listen:"),
        name => Ok(Address::Activation {
            name: Some(name.to_owned()),
        }),
    }
}

/// What comes after the path of a Unix socket, in any order, each at most once.
fn access(settings: &[String]) -> Result<Access, Problem> {
    let mut access = Access::default();
    for setting in settings {
        let (name, value) = setting.split_once('=').ok_or(UNKNOWN)?;
        let again = match name {
            "mode" => access.mode.replace(mode(value)?).is_some(),
            "user" => access.user.replace(owner(value)?).is_some(),
            "group" => access.group.replace(owner(value)?).is_some(),
            _ => return Err(UNKNOWN),
        };
        if again {
            return Err("a setting stands there twice");
        }
    }
    Ok(access)
}

const UNKNOWN: Problem =
    "after a comma come mode=0660, user=NAME and group=NAME; a comma in a path is written \\,";

fn mode(text: &str) -> Result<u32, Problem> {
    let octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|&mode| octal && mode <= 0o777)
        .ok_or("the mode is not an octal number from 0 to 0777")
}

/// All digits are a number, also where somebody is called so.
fn owner(text: &str) -> Result<Owner, Problem> {
    match text {
        "" => Err("there is no name after user= or group="),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            // The last one means nobody in particular to the system.
            let number = digits(text).filter(|&number| number != u32::MAX);
            let number = number.ok_or("there is no user or group of so large a number")?;
            Ok(Owner::Number(number))
        }
        text => Ok(Owner::Name(text.to_owned())),
    }
}

fn tcp(text: &str) -> Result<Address, Problem> {
    let (host, port) = match text.rsplit_once(':') {
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => ("127.0.0.1", text),
        None => return Err(NO_PORT),
        Some((host, port)) => (bare(host)?, port),
    };
    Ok(Address::Tcp {
        host: host.to_owned(),
        port: digits(port).ok_or(BAD_PORT)?,
    })
}

/// No sign, which the numbers of the standard library would read.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// The host without its brackets, which IPv6 must have and nothing else may.
fn bare(host: &str) -> Result<&str, Problem> {
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match bracketed {
        Some(v6) if is_v6(v6) => Ok(v6),
        Some(_) => Err("only an IPv6 address stands in brackets"),
        None if host.contains(':') => Err("an IPv6 address stands in brackets: [::1]:50007"),
        None if host.contains(['[', ']', '/', ' ']) => Err("the host has a character no host has"),
        None => Ok(host),
    }
}

fn is_v6(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    matches!(address.parse(), Ok(IpAddr::V6(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp {
            host: host.into(),
            port,
        }
    }

    fn unix(path: &str, access: Access) -> Address {
        Address::Unix {
            path: path.into(),
            access,
        }
    }

    fn named(name: &str) -> Address {
        Address::Abstract { name: name.into() }
    }

    fn activation(name: &str) -> Address {
        Address::Activation {
            name: Some(name.into()),
        }
    }

    fn check(text: &str, address: &Address, printed: &str) {
        let parsed: Address = text.parse().expect(text);
        assert_eq!(&parsed, address, "{text}");
        assert_eq!(parsed.to_string(), printed);
        assert_eq!(&printed.parse::<Address>().expect(printed), address);
    }

    #[test]
    fn every_form_is_read_and_printed_back() {
        for (text, address, printed) in [
            ("50007", tcp("127.0.0.1", 50007), "127.0.0.1:50007"),
            ("0", tcp("127.0.0.1", 0), "127.0.0.1:0"),
            (":65535", tcp("", 65535), ":65535"),
            ("localhost:1", tcp("localhost", 1), "localhost:1"),
            ("unix.test:1", tcp("unix.test", 1), "unix.test:1"),
            ("fd3:1", tcp("fd3", 1), "fd3:1"),
            ("[::]:5", tcp("::", 5), "[::]:5"),
            ("[fe80::1%lo]:5", tcp("fe80::1%lo", 5), "[fe80::1%lo]:5"),
            ("@name", named("name"), "@name"),
            ("@a:80", named("a:80"), "@a:80"),
            (r"@a\,b", named("a,b"), r"@a\,b"),
            ("fd:0", Address::Fd { number: 0 }, "fd:0"),
            (
                "fd:2147483647",
                Address::Fd { number: RawFd::MAX },
                "fd:2147483647",
            ),
            ("sd-listen", Address::Activation { name: None }, "sd-listen"),
            ("sd-listen:web", activation("web"), "sd-listen:web"),
            (r"sd-listen:a\,b", activation("a,b"), r"sd-listen:a\,b"),
            ("-", Address::Stdio, "-"),
            ("stdio", Address::Stdio, "-"),
        ] {
            check(text, &address, printed);
        }
    }

    #[test]
    fn a_unix_socket_has_a_path_and_says_who_may_connect() {
        let open = Access::default;
        for (text, address, printed) in [
            ("/run/x", unix("/run/x", open()), "unix:/run/x"),
            ("./x", unix("./x", open()), "unix:./x"),
            ("../x:80", unix("../x:80", open()), "unix:../x:80"),
            ("unix:x", unix("x", open()), "unix:x"),
            ("unix:50007", unix("50007", open()), "unix:50007"),
            ("/a b", unix("/a b", open()), "unix:/a b"),
            (r"/a\,b", unix("/a,b", open()), r"unix:/a\,b"),
            (
                r"/a\\,mode=0",
                unix(r"/a\", open().mode(0)),
                r"unix:/a\\,mode=0000",
            ),
            (r"/a\b", unix(r"/a\b", open()), r"unix:/a\\b"),
            (
                "/x,mode=660",
                unix("/x", open().mode(0o660)),
                "unix:/x,mode=0660",
            ),
            (
                "/x,user=web",
                unix("/x", open().user("web")),
                "unix:/x,user=web",
            ),
            ("/x,user=0", unix("/x", open().user(0)), "unix:/x,user=0"),
            (
                "unix:x,group=4294967294,mode=0777",
                unix("x", open().mode(0o777).group(u32::MAX - 1)),
                "unix:x,mode=0777,group=4294967294",
            ),
        ] {
            check(text, &address, printed);
        }
    }

    /// As a program may give it, that has it from elsewhere.
    #[test]
    fn a_path_that_looks_like_a_name_is_printed_as_a_path() {
        for (path, printed) in [("@x", "unix:./@x"), ("@a,b", r"unix:./@a\,b")] {
            let address = Address::from(PathBuf::from(path));
            assert_eq!(address.to_string(), printed);
            let read: Address = printed.parse().expect(printed);
            assert_eq!(read, unix(&format!("./{path}"), Access::default()));
        }
    }

    #[test]
    fn what_is_not_an_address_says_why() {
        for (text, word) in [
            ("", "empty"),
            (",", "empty"),
            ("host", "./PATH"),
            ("x.sock", "./PATH"),
            ("host:", "port"),
            ("host:+1", "port"),
            ("host:65536", "port"),
            ("host:1x", "port"),
            ("host:-1", "port"),
            ("65536", "port"),
            ("::1:80", "brackets"),
            ("[1.2.3.4]:80", "brackets"),
            ("[::1:80", "brackets"),
            ("a b:80", "character"),
            ("unix:", "no path"),
            ("unix:@x", "@NAME"),
            ("@", "no name"),
            ("fd:", "number"),
            ("fd:-1", "number"),
            ("fd:+3", "number"),
            ("fd:2147483648", "number"),
            ("sd-listen:", "no name"),
            ("/x,", "mode=0660"),
            ("/x,mode", "mode=0660"),
            ("/x,mod=0660", "mode=0660"),
            ("/x,mode=", "octal"),
            ("/x,mode=0999", "octal"),
            ("/x,mode=1000", "octal"),
            ("/x,mode=+7", "octal"),
            ("/x,mode=0660,mode=0660", "twice"),
            ("/x,user=", "no name"),
            ("/x,user=4294967295", "large"),
            ("/x,group=4294967296", "large"),
            ("@x,mode=0660", "with a path"),
            ("127.0.0.1:80,mode=0660", "with a path"),
            ("fd:3,mode=0660", "with a path"),
            ("-,mode=0660", "with a path"),
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.starts_with(&format!("bad address '{text}': ")));
            assert!(error.contains(word), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
    }
}
