//! The value of `--listen`: an address, and the layers from which it is exempt.

use std::fmt;
use std::str::FromStr;

use halves::Address;

use super::values::address;

/// The value of one `--listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListenAddress {
    pub(super) address: Address,
    /// Set by `tls=off`: exempt from `--tls-cert`.
    pub(super) tls_off: bool,
    /// Set by `proxy=off`: exempt from `--proxy-protocol`.
    pub(super) proxy_off: bool,
    /// Set by `truncated=reset`: an end of TLS without `close_notify` becomes a reset of the target.
    pub(super) truncated_resets: bool,
}

impl From<Address> for ListenAddress {
    fn from(address: Address) -> Self {
        Self {
            address,
            tls_off: false,
            proxy_off: false,
            truncated_resets: false,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut tls_off, mut proxy_off, mut truncated_resets) = (false, false, false);
        let mut others = Vec::new();
        for (n, part) in parts(text).into_iter().enumerate() {
            let (setting, is_known) = match part.split_once('=') {
                Some(("tls", value)) if n > 0 => (&mut tls_off, value == "off"),
                Some(("proxy", value)) if n > 0 => (&mut proxy_off, value == "off"),
                Some(("truncated", value)) if n > 0 => (&mut truncated_resets, value == "reset"),
                _ => {
                    others.push(part);
                    continue;
                }
            };
            if !is_known {
                return Err(format!(
                    "{part} is not a setting; write tls=off, proxy=off or truncated=reset"
                ));
            }
            if std::mem::replace(setting, true) {
                return Err(format!("the setting {part} is given twice"));
            }
        }
        Ok(Self {
            address: address(&others.join(","))?,
            tls_off,
            proxy_off,
            truncated_resets,
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        if self.tls_off {
            f.write_str(",tls=off")?;
        }
        if self.proxy_off {
            f.write_str(",proxy=off")?;
        }
        if self.truncated_resets {
            f.write_str(",truncated=reset")?;
        }
        Ok(())
    }
}

/// Splits a text at commas, except at `\,`. The parts keep their backslashes.
pub(super) fn parts(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(|c| {
        let separates = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        separates
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_exempt_from_layers() {
        for (text, printed) in [
            ("80", "127.0.0.1:80"),
            ("80,tls=off", "127.0.0.1:80,tls=off"),
            (":80,proxy=off,nagle,tls=off", ":80,nagle,tls=off,proxy=off"),
            ("@x,proxy=off", "@x,proxy=off"),
            ("-,tls=off", "-,tls=off"),
            ("1,truncated=reset", "127.0.0.1:1,truncated=reset"),
            (r"/a\,tls=off,mode=0600", r"unix:/a\,tls=off,mode=0600"),
            (r"/a\\,tls=off", r"unix:/a\\,tls=off"),
        ] {
            let parsed: ListenAddress = text.parse().expect(text);
            assert_eq!(parsed.to_string(), printed, "{text}");
            assert_eq!(printed.parse(), Ok(parsed), "{printed}");
        }
    }

    #[test]
    fn another_value_of_a_layer_is_an_error() {
        for (text, problem) in [
            (
                "80,tls=on",
                "tls=on is not a setting; write tls=off, proxy=off or truncated=reset",
            ),
            (
                "80,proxy=",
                "proxy= is not a setting; write tls=off, proxy=off or truncated=reset",
            ),
            ("80,tls=off,tls=off", "the setting tls=off is given twice"),
        ] {
            assert_eq!(text.parse::<ListenAddress>(), Err(problem.to_owned()));
        }
        let unknown = "80,tls".parse::<ListenAddress>().expect_err("no value");
        assert!(unknown.starts_with("after a comma come "), "{unknown}");
        assert!("tls=off".parse::<ListenAddress>().is_err());
    }
}
