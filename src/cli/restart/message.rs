//! The messages between a process and the one that replaces it, as JSON.

use halves::Address;
use halves::address::{Access, ListenOptions};
use serde::{Deserialize, Serialize};

/// The version of the messages. A process refuses another one, and the old process goes on.
pub(super) const VERSION: u32 = 1;

/// A message. Unknown fields are ignored.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// The first message to the new process.
    Begin {
        version: u32,
        /// The soft limit of open files at the start of the old process. None is unlimited.
        open_files: Option<u64>,
    },
    /// A listening socket, with its descriptor.
    Socket(SocketNote),
    /// The channel of the relays that move to the new process, with its descriptor.
    Relays,
    /// No more sockets follow.
    End,
    /// The new process has all its listeners, and could accept.
    Ready,
    /// The new process accepts from now on, and the old one does not.
    Commit,
    /// The old process goes on, and the new one ends. The end of a channel alone would mean that the
    /// old process has ended.
    Cancel,
}

/// The origin of a listening socket.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct SocketNote {
    pub(super) role: Role,
    /// The address that the socket was made for, [without its settings](address_text).
    pub(super) address: String,
    /// Equal for sockets of one address, such as a host name with several.
    pub(super) entry: usize,
    /// True if the socket belongs to the server, which refuses clients and removes the file at its
    /// end.
    pub(super) is_owned: bool,
}

/// The option that an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum Role {
    Listen,
    Control,
    Metrics,
}

/// Returns an address without its settings, by which a new process finds the socket of an address.
pub(in crate::cli) fn address_text(address: &Address) -> String {
    let plain = match address.clone() {
        Address::Tcp { host, port, .. } => Address::Tcp {
            host,
            port,
            options: ListenOptions::default(),
        },
        Address::Unix { path, .. } => Address::Unix {
            path,
            access: Access::default(),
        },
        Address::Fd { number, .. } => Address::Fd {
            number,
            options: ListenOptions::default(),
        },
        Address::Activation { name, .. } => Address::Activation {
            name,
            options: ListenOptions::default(),
        },
        other => other,
    };
    plain.to_string()
}

/// Returns the options of the connections of an address.
pub(in crate::cli) fn listen_options(address: &Address) -> ListenOptions {
    match address {
        Address::Tcp { options, .. }
        | Address::Fd { options, .. }
        | Address::Activation { options, .. } => options.clone(),
        _ => ListenOptions::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_whatever_its_settings_are() {
        for (text, plain) in [
            ("80,keepalive=30s,backlog=9,nagle", "127.0.0.1:80"),
            ("[::]:0,v6-only", "[::]:0"),
            ("/run/x,mode=0600,user=1", "unix:/run/x"),
            ("@x", "@x"),
            ("fd:7,nagle", "fd:7"),
            ("sd-listen:web,keepalive=1", "sd-listen:web"),
            ("sd-listen", "sd-listen"),
            ("-", "-"),
        ] {
            let address = text.parse().expect(text);
            assert_eq!(address_text(&address), plain);
        }
    }

    /// Another version of the program reads these.
    #[test]
    fn the_text_of_messages_stays_the_same() {
        let note = SocketNote {
            role: Role::Listen,
            address: "127.0.0.1:80".to_owned(),
            entry: 0,
            is_owned: true,
        };
        let begin = Message::Begin {
            version: 1,
            open_files: Some(1024),
        };
        for (message, text) in [
            (begin, r#"{"begin":{"version":1,"open_files":1024}}"#),
            (
                Message::Socket(note),
                r#"{"socket":{"role":"listen","address":"127.0.0.1:80","entry":0,"is_owned":true}}"#,
            ),
            (Message::Relays, r#""relays""#),
            (Message::End, r#""end""#),
            (Message::Ready, r#""ready""#),
            (Message::Commit, r#""commit""#),
            (Message::Cancel, r#""cancel""#),
        ] {
            assert_eq!(serde_json::to_string(&message).expect("text"), text);
            assert_eq!(serde_json::from_str::<Message>(text).ok(), Some(message));
        }
        let newer = r#"{"begin":{"version":9,"open_files":null,"more":[1]}}"#;
        let begin = Message::Begin {
            version: 9,
            open_files: None,
        };
        assert_eq!(serde_json::from_str::<Message>(newer).ok(), Some(begin));
    }
}
