//! `ControlAddress`: the value of `--control`.

use std::str::FromStr;

use halves::Address;

use super::super::listen_address::parts;
use super::super::values::address;

/// The mode of the socket's file, unless the address has another one.
const MODE: u32 = 0o600;

/// The value of `--control`: a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct ControlAddress {
    pub(in crate::cli) address: Address,
    /// True if the address sets the mode or the owner of its file, so that these decide which users
    /// are clients.
    pub(in crate::cli) has_access: bool,
}

impl FromStr for ControlAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let settings = || parts(text).into_iter().skip(1);
        let sets = |names: &[&str]| {
            settings().any(|part| {
                let (name, _) = part.split_once('=').unwrap_or((part, ""));
                names.contains(&name)
            })
        };
        match address(text)? {
            Address::Unix { path, access } => Ok(Self {
                address: Address::Unix {
                    path,
                    access: if sets(&["mode"]) {
                        access
                    } else {
                        access.mode(MODE)
                    },
                },
                has_access: sets(&["mode", "user", "group"]),
            }),
            address @ (Address::Abstract { .. }
            | Address::Fd { .. }
            | Address::Activation { .. }) => Ok(Self {
                address,
                has_access: false,
            }),
            _ => Err(
                "not a Unix socket, whose clients the system identifies; write /PATH, @NAME, \
                 fd:N or sd-listen:NAME"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_0600_unless_it_is_set() {
        for (text, printed, has_access) in [
            ("/run/x", "unix:/run/x,mode=0600", false),
            ("/run/x,mode=0660", "unix:/run/x,mode=0660", true),
            ("/x,group=9", "unix:/x,mode=0600,group=9", true),
            (r"/run/x\,mode=7", r"unix:/run/x\,mode=7,mode=0600", false),
            ("@x", "@x", false),
            ("fd:3", "fd:3", false),
            ("sd-listen:admin", "sd-listen:admin", false),
        ] {
            let parsed: ControlAddress = text.parse().expect(text);
            assert_eq!(parsed.address.to_string(), printed);
            assert_eq!(parsed.has_access, has_access, "{text}");
        }
    }

    #[test]
    fn another_address_is_an_error() {
        for text in ["80", "127.0.0.1:80", "-", "localhost:1,mode=0600", ""] {
            assert!(text.parse::<ControlAddress>().is_err(), "{text}");
        }
    }
}
