//! The value of a target: an address to connect to, and the layers of the connection.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use halves::proxy_protocol::Version;
use halves::tls::rustls::pki_types::ServerName;
use halves::tls::{ClientSettings, Connector, LoadError};
use halves::{Address, ConnectOptions};

use super::listen_address::parts;
use super::values::{address, protocol};

const USAGE: &str = "after a comma come tls, sni=NAME, ca=FILE, cert=FILE, key=FILE, alpn=PROTO, \
                     verify=off, send-proxy=v1 or v2, and truncated=reset; a comma in a path is \
                     written \\,";

/// The forms of a target, as lines of the help.
pub(super) const FORMS: &[&str] = &[
    "HOST:PORT, [V6]:PORT  TCP; all addresses of a name are tried",
    "PORT                  TCP on 127.0.0.1",
    "/PATH, ./PATH, unix:PATH, @NAME",
    "                      a Unix socket; write a comma in a path as \\,",
    "Any of these may be followed by these settings:",
    ",tls                  TLS; the certificate must be for the host, from a CA of the",
    "                      system",
    ",tls,sni=NAME         the certificate must be for NAME",
    ",tls,ca=FILE          the CAs that may have signed it, in PEM; repeatable",
    ",tls,cert=FILE,key=FILE",
    "                      the certificate of this client and its key, in PEM",
    ",tls,alpn=PROTO       offer PROTO in ALPN; repeatable",
    ",tls,verify=off       take any certificate: for tests only",
];

/// An address to connect to, and what is sent first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TargetAddress {
    pub(super) address: Address,
    /// Set by `tls`, and changed by the settings that need it.
    pub(super) tls: Option<TargetTls>,
    /// Set by `send-proxy=`.
    pub(super) send_proxy: Option<Version>,
}

/// The settings of TLS to a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TargetTls {
    /// None for the host of the address.
    server_name: Option<String>,
    /// None for the CAs of the system.
    cas: Vec<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    alpn: Vec<String>,
    /// Set by `verify=off`.
    is_unverified: bool,
    /// Set by `truncated=reset`: an end without `close_notify` becomes a reset.
    pub(super) truncated_resets: bool,
}

impl TargetAddress {
    /// Reads the files, and returns the settings of connections to this target. A PROXY header has
    /// the addresses of the connection itself, unless the caller sets a client.
    pub(super) fn load(&self) -> Result<ConnectOptions, LoadError> {
        let mut options = ConnectOptions::new();
        if let Some(version) = self.send_proxy {
            options = options.send_proxy(version);
        }
        if let Some(tls) = &self.tls {
            options = options.tls(tls.load()?);
        }
        Ok(options)
    }

    /// As [`load`](Self::load), for a command that connects once, with its options.
    pub(super) fn load_client(
        &self,
        connect_timeout: Duration,
        source: Option<SocketAddr>,
    ) -> Result<ConnectOptions, LoadError> {
        let options = self.load()?.timeout(connect_timeout);
        Ok(match source {
            Some(source) => options.source(source),
            None => options,
        })
    }

    /// Checks the address of such a command. `standard_streams` is the problem of standard input and
    /// output.
    pub(super) fn check_client(
        &self,
        source: Option<SocketAddr>,
        standard_streams: &str,
    ) -> Result<(), String> {
        match self.address {
            Address::Stdio | Address::Fd { number: 0..=2, .. } => Err(standard_streams.to_owned()),
            Address::Tcp { .. } => Ok(()),
            _ if source.is_some() => Err("--source is for TCP".to_owned()),
            _ => Ok(()),
        }
    }

    fn check(self) -> Result<Self, String> {
        if matches!(self.address, Address::Activation { .. }) {
            return Err("sd-listen is for --listen".to_owned());
        }
        let Some(tls) = &self.tls else {
            return Ok(self);
        };
        if tls.cert.is_some() != tls.key.is_some() {
            return Err("cert= and key= come in pairs".to_owned());
        }
        if tls.is_unverified && !tls.cas.is_empty() {
            return Err("verify=off takes any certificate, so ca= has no use".to_owned());
        }
        match (&tls.server_name, &self.address) {
            (Some(name), _) => check_name("sni", name)?,
            (None, Address::Tcp { host, .. }) if host.is_empty() => {}
            (None, Address::Tcp { host, .. }) => {
                let (host, _zone) = host.split_once('%').unwrap_or((host, ""));
                check_name("the host", host)
                    .map_err(|problem| format!("{problem}; add sni=NAME"))?;
            }
            (None, _) => return Err("tls needs sni=NAME, as the address has no host".to_owned()),
        }
        Ok(self)
    }
}

impl TargetTls {
    fn load(&self) -> Result<Connector, LoadError> {
        let mut settings = ClientSettings::new().alpn(self.alpn.iter().map(String::as_str));
        for ca in &self.cas {
            settings = settings.ca(ca);
        }
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            settings = settings.certificate(cert, key);
        }
        if let Some(name) = &self.server_name {
            settings = settings.server_name(name);
        }
        if self.is_unverified {
            settings = settings.danger_no_verification();
        }
        settings.load()
    }

    /// Applies a setting that only TLS has.
    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match (name, &*value) {
            (_, "") => return Err(format!("there is no value after {name}=")),
            ("sni", _) => once(name, &mut self.server_name, value)?,
            ("ca", _) => self.cas.push(value.into()),
            ("cert", _) => once(name, &mut self.cert, value.into())?,
            ("key", _) => once(name, &mut self.key, value.into())?,
            ("alpn", _) => self.alpn.push(protocol(&value)?),
            ("verify", "off") => self.is_unverified = true,
            ("truncated", "reset") => self.truncated_resets = true,
            ("verify", _) => return Err("verify has one value; write verify=off".to_owned()),
            _ => return Err("truncated has one value; write truncated=reset".to_owned()),
        }
        Ok(())
    }
}

impl FromStr for TargetAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = parts(text).into_iter();
        let address = address(parts.next().unwrap_or_default())?;
        let (mut has_tls, mut tls, mut send_proxy) = (false, TargetTls::default(), None);
        let mut needs_tls = None;
        for part in parts {
            match part.split_once('=') {
                None if part == "tls" => has_tls = true,
                Some(("send-proxy", version)) => {
                    let version = match version {
                        "v1" => Version::V1,
                        "v2" => Version::V2,
                        _ => return Err("write send-proxy=v1 or send-proxy=v2".to_owned()),
                    };
                    once("send-proxy", &mut send_proxy, version)?;
                }
                Some((
                    name @ ("sni" | "ca" | "cert" | "key" | "alpn" | "verify" | "truncated"),
                    value,
                )) => {
                    tls.set(name, unescaped(value))?;
                    needs_tls = Some(name);
                }
                _ => return Err(USAGE.to_owned()),
            }
        }
        if let (Some(name), false) = (needs_tls, has_tls) {
            return Err(format!(
                "{name}= needs tls: write {},tls,{name}=",
                short(&address)
            ));
        }
        let target = Self {
            address,
            tls: has_tls.then_some(tls),
            send_proxy,
        };
        target.check()
    }
}

impl fmt::Display for TargetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        if self.tls.is_some() {
            f.write_str(",tls")?;
        }
        match self.send_proxy {
            Some(version) => write!(f, ",send-proxy={version}"),
            None => Ok(()),
        }
    }
}

/// Sets a setting that may be given once.
fn once<T>(name: &str, setting: &mut Option<T>, value: T) -> Result<(), String> {
    match setting.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("the setting {name} is given twice")),
    }
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    match ServerName::try_from(name) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "{what} '{name}' is neither a name of DNS nor an IP address"
        )),
    }
}

/// Removes the backslashes in front of commas and backslashes.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(',' | '\\')) => text.extend(chars.next()),
            _ => text.push(c),
        }
    }
    text
}

/// Returns the address for a hint.
fn short(address: &Address) -> &'static str {
    match address {
        Address::Tcp { .. } => "HOST:PORT",
        _ => "ADDRESS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> TargetAddress {
        text.parse().expect(text)
    }

    fn problem(text: &str) -> String {
        text.parse::<TargetAddress>().expect_err(text)
    }

    #[test]
    fn an_address_may_have_layers() {
        for (text, printed) in [
            ("80", "127.0.0.1:80"),
            ("h:443,tls", "h:443,tls"),
            ("h:443,send-proxy=v2,tls", "h:443,tls,send-proxy=v2"),
            ("@x,send-proxy=v1", "@x,send-proxy=v1"),
            (r"/a\,tls", r"unix:/a\,tls"),
            ("/x,tls,sni=db.internal", "unix:/x,tls"),
            (":443,tls", ":443,tls"),
            ("[fe80::1%eth0]:443,tls", "[fe80::1%eth0]:443,tls"),
        ] {
            assert_eq!(parsed(text).to_string(), printed, "{text}");
        }
    }

    #[test]
    fn each_setting_of_tls_is_kept() {
        let text = r"h:443,sni=db.internal,tls,ca=/a\,b.pem,ca=c.pem,cert=d,key=e\\f,alpn=h2,alpn=x,truncated=reset";
        let tls = TargetTls {
            server_name: Some("db.internal".into()),
            cas: vec!["/a,b.pem".into(), "c.pem".into()],
            cert: Some("d".into()),
            key: Some(r"e\f".into()),
            alpn: vec!["h2".into(), "x".into()],
            is_unverified: false,
            truncated_resets: true,
        };
        assert_eq!(parsed(text).tls, Some(tls));
        let tls = parsed("h:443,tls,verify=off").tls;
        assert!(tls.is_some_and(|tls| tls.is_unverified));
    }

    #[test]
    fn a_wrong_setting_is_an_error() {
        for (text, problem) in [
            ("h:1,sni=x", "sni= needs tls: write HOST:PORT,tls,sni="),
            (
                "/x,truncated=reset",
                "truncated= needs tls: write ADDRESS,tls,truncated=",
            ),
            ("h:1,tls,cert=x", "cert= and key= come in pairs"),
            ("h:1,tls,key=x", "cert= and key= come in pairs"),
            ("h:1,tls,sni=x,sni=x", "the setting sni is given twice"),
            ("h:1,tls,cert=x,cert=x", "the setting cert is given twice"),
            ("h:1,tls,key=x,key=x", "the setting key is given twice"),
            ("h:1,tls,ca=", "there is no value after ca="),
            (
                "h:1,tls,verify=on",
                "verify has one value; write verify=off",
            ),
            (
                "h:1,tls,truncated=eof",
                "truncated has one value; write truncated=reset",
            ),
            (
                "h:1,tls,verify=off,ca=x",
                "verify=off takes any certificate, so ca= has no use",
            ),
            ("h:1,send-proxy=v3", "write send-proxy=v1 or send-proxy=v2"),
            (
                "h:1,send-proxy=v1,send-proxy=v2",
                "the setting send-proxy is given twice",
            ),
            ("/x,tls", "tls needs sni=NAME, as the address has no host"),
            ("-,tls", "tls needs sni=NAME, as the address has no host"),
            (
                "h:1,tls,sni=a b",
                "sni 'a b' is neither a name of DNS nor an IP address",
            ),
            (
                "a..b:1,tls",
                "the host 'a..b' is neither a name of DNS nor an IP address; add sni=NAME",
            ),
            ("sd-listen", "sd-listen is for --listen"),
        ] {
            assert_eq!(self::problem(text), problem, "{text}");
        }
        for text in [
            "h:1,nagle",
            "h:1,tls=off",
            "h:1,sni",
            "/x,mode=0600",
            "h:1,",
        ] {
            assert_eq!(problem(text), USAGE, "{text}");
        }
        assert!(problem("h").starts_with("it has no port"));
    }

    #[test]
    fn files_are_read_by_load_and_named_in_its_error() {
        for text in ["80", "80,send-proxy=v1", "80,tls,verify=off,alpn=h2"] {
            let _options = parsed(text).load().expect(text);
        }
        for setting in ["ca=/nosuch.pem", "cert=/nosuch.pem,key=/nosuch.key"] {
            let error = parsed(&format!("h:1,tls,{setting}")).load();
            let error = error.expect_err(setting).to_string();
            assert!(error.starts_with("/nosuch.pem: "), "{error}");
        }
    }
}
