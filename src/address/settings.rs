//! Parses the settings after the commas of an address.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use super::{Access, Address, ListenOptions, Owner};
use crate::duration::parse_duration;

/// The error in a text, and what to write instead, if that is known.
pub(super) type ParseProblem = Cow<'static, str>;

/// The settings of a Unix socket with a path.
const PATH_SETTINGS: &[&str] = &["mode", "user", "group"];
/// The settings of a TCP socket.
const TCP_SETTINGS: &[&str] = &["keepalive", "backlog", "nagle", "reuse-port", "v6-only"];
/// The settings of an inherited socket.
const INHERITED_SETTINGS: &[&str] = &["keepalive", "nagle"];

const PATH_USAGE: &str =
    "after a comma come mode=0660, user=NAME and group=NAME; a comma in a path is written \\,";
const TCP_USAGE: &str =
    "after a comma come keepalive=30s, backlog=4096, nagle, reuse-port and v6-only";
const INHERITED_USAGE: &str = "after a comma come keepalive=30s and nagle";
const NO_SETTINGS_USAGE: &str = "this address has no settings; a comma in a name is written \\,";

/// Applies settings, in any order and each at most once, to an address.
pub(super) fn apply(mut address: Address, settings: &[String]) -> Result<Address, ParseProblem> {
    let (allowed, usage) = match &address {
        Address::Unix { .. } => (PATH_SETTINGS, PATH_USAGE),
        Address::Tcp { .. } => (TCP_SETTINGS, TCP_USAGE),
        Address::Fd { .. } | Address::Activation { .. } => (INHERITED_SETTINGS, INHERITED_USAGE),
        _ => (&[][..], NO_SETTINGS_USAGE),
    };
    let mut seen = Vec::with_capacity(settings.len());
    for setting in settings {
        let (name, value) = match setting.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (&**setting, None),
        };
        if !allowed.contains(&name) {
            return Err(misplaced(name, usage));
        }
        if seen.contains(&name) {
            return Err(format!("the setting {name} is given twice").into());
        }
        seen.push(name);
        set(&mut address, name, value, usage)?;
    }
    Ok(address)
}

/// Describes the error of a setting that an address of this kind does not have.
fn misplaced(name: &str, usage: &'static str) -> ParseProblem {
    if PATH_SETTINGS.contains(&name) {
        return format!("{name}= is for a Unix socket with a path").into();
    }
    if usage == INHERITED_USAGE && TCP_SETTINGS.contains(&name) {
        return format!("{name} is set before a socket listens, and this one is open already")
            .into();
    }
    if TCP_SETTINGS.contains(&name) {
        return format!("{name} is for TCP").into();
    }
    usage.into()
}

fn set(
    address: &mut Address,
    name: &str,
    value: Option<&str>,
    usage: &'static str,
) -> Result<(), ParseProblem> {
    match address {
        Address::Unix { access, .. } => set_access(access, name, value.ok_or(usage)?),
        Address::Tcp { options, .. }
        | Address::Fd { options, .. }
        | Address::Activation { options, .. } => set_option(options, name, value),
        _ => Err(usage.into()),
    }
}

fn set_access(access: &mut Access, name: &str, value: &str) -> Result<(), ParseProblem> {
    match name {
        "mode" => access.mode = Some(mode(value)?),
        "user" => access.user = Some(owner(value)?),
        _ => access.group = Some(owner(value)?),
    }
    Ok(())
}

fn set_option(
    options: &mut ListenOptions,
    name: &str,
    value: Option<&str>,
) -> Result<(), ParseProblem> {
    match (name, value) {
        ("keepalive", value) => options.keepalive = keepalive(value.unwrap_or_default())?,
        ("backlog", value) => options.backlog = backlog(value.unwrap_or_default())?,
        (_, Some(_)) => return Err(format!("{name} has no value").into()),
        ("nagle", None) => options.nagle = true,
        ("reuse-port", None) => options.reuse_port = true,
        ("v6-only", None) => options.v6_only = true,
        (_, None) => return Err(format!("{name} is unknown").into()),
    }
    Ok(())
}

fn keepalive(text: &str) -> Result<u16, ParseProblem> {
    let max = ListenOptions::MAX_KEEPALIVE_SECONDS;
    parse_duration(text)
        .ok()
        .and_then(|idle| u16::try_from(idle.as_secs()).ok().map(|secs| (idle, secs)))
        .filter(|&(idle, secs)| secs <= max && idle == Duration::from_secs(secs.into()))
        .map(|(_, secs)| secs)
        .ok_or_else(|| format!("keepalive is whole seconds from 1s to {max}s, or 0 for off").into())
}

fn backlog(text: &str) -> Result<u32, ParseProblem> {
    let max = ListenOptions::MAX_BACKLOG_CONNECTIONS;
    parse_digits(text)
        .filter(|backlog| (1..=max).contains(backlog))
        .ok_or_else(|| format!("backlog is a number from 1 to {max}").into())
}

fn mode(text: &str) -> Result<u32, ParseProblem> {
    let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|&mode| is_octal && mode <= 0o777)
        .ok_or("the mode is not an octal number from 0 to 0777".into())
}

/// Parses a user or a group. A text of digits is an id, even if a user has that name.
fn owner(text: &str) -> Result<Owner, ParseProblem> {
    match text {
        "" => Err("there is no name after user= or group=".into()),
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            // The largest number means "no change" to chown(2).
            let number = parse_digits(text).filter(|&number| number != u32::MAX);
            let number = number.ok_or("the user or group id is too large")?;
            Ok(Owner::Number(number))
        }
        text => Ok(Owner::Name(text.to_owned())),
    }
}

/// Parses a number of digits only. `FromStr` would accept a sign.
pub(super) fn parse_digits<T: FromStr>(text: &str) -> Option<T> {
    let has_digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| has_digits_only)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_parsed_and_printed() {
        for (text, printed) in [
            ("80,keepalive=30s", "127.0.0.1:80,keepalive=30s"),
            ("80,keepalive=1m30s", "127.0.0.1:80,keepalive=90s"),
            ("80,keepalive=32767", "127.0.0.1:80,keepalive=32767s"),
            ("80,keepalive=0", "127.0.0.1:80"),
            (":80,v6-only", ":80,v6-only"),
            ("[::]:80,backlog=1", "[::]:80,backlog=1"),
            ("h:80,backlog=4096", "h:80"),
            (
                "h:80,v6-only,reuse-port,nagle,backlog=2147483647,keepalive=5",
                "h:80,keepalive=5s,backlog=2147483647,nagle,reuse-port,v6-only",
            ),
            ("fd:3,nagle,keepalive=30s", "fd:3,keepalive=30s,nagle"),
            ("sd-listen,nagle", "sd-listen,nagle"),
            (r"sd-listen:a\,b,nagle", r"sd-listen:a\,b,nagle"),
            (
                "/x,group=1,user=web,mode=7",
                "unix:/x,mode=0007,user=web,group=1",
            ),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), printed, "{text}");
            assert_eq!(printed.parse::<Address>().expect(printed), address);
        }
    }

    #[test]
    fn a_bad_setting_is_an_error_with_the_reason() {
        let keepalive = "keepalive is whole seconds from 1s to 32767s, or 0 for off";
        let backlog = "backlog is a number from 1 to 2147483647";
        for (text, problem) in [
            ("80,", TCP_USAGE),
            ("80,tls", TCP_USAGE),
            ("80,keepalive", keepalive),
            ("80,keepalive=", keepalive),
            ("80,keepalive=500ms", keepalive),
            ("80,keepalive=1.5s", keepalive),
            ("80,keepalive=32768s", keepalive),
            ("80,keepalive=1d", keepalive),
            ("80,backlog", backlog),
            ("80,backlog=0", backlog),
            ("80,backlog=+1", backlog),
            ("80,backlog=2147483648", backlog),
            ("80,nagle=on", "nagle has no value"),
            ("80,reuse-port=", "reuse-port has no value"),
            ("80,v6-only=1", "v6-only has no value"),
            ("80,nagle,nagle", "the setting nagle is given twice"),
            ("80,mode=0660", "mode= is for a Unix socket with a path"),
            ("fd:3,user=web", "user= is for a Unix socket with a path"),
            ("fd:3,x", INHERITED_USAGE),
            (
                "fd:3,backlog=1",
                "backlog is set before a socket listens, and this one is open already",
            ),
            (
                "sd-listen,v6-only",
                "v6-only is set before a socket listens, and this one is open already",
            ),
            ("@x,mode=0660", "mode= is for a Unix socket with a path"),
            ("@x,nagle", "nagle is for TCP"),
            ("-,group=web", "group= is for a Unix socket with a path"),
            ("-,x", NO_SETTINGS_USAGE),
        ] {
            assert_error(text, problem);
        }
    }

    #[test]
    fn a_bad_setting_of_a_path_is_an_error_with_the_reason() {
        let mode = "the mode is not an octal number from 0 to 0777";
        for (text, problem) in [
            ("/x,", PATH_USAGE),
            ("/x,mode", PATH_USAGE),
            ("/x,mod=0660", PATH_USAGE),
            ("/x,nagle", "nagle is for TCP"),
            ("/x,mode=", mode),
            ("/x,mode=0999", mode),
            ("/x,mode=1000", mode),
            ("/x,mode=+7", mode),
            ("/x,mode=0660,mode=0660", "the setting mode is given twice"),
            ("/x,user=", "there is no name after user= or group="),
            ("/x,user=4294967295", "the user or group id is too large"),
            ("/x,group=4294967296", "the user or group id is too large"),
        ] {
            assert_error(text, problem);
        }
    }

    fn assert_error(text: &str, problem: &str) {
        let error = text.parse::<Address>().expect_err(text).to_string();
        assert_eq!(error, format!("bad address '{text}': {problem}"));
    }
}
