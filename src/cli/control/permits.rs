//! `Permits`: the users that may send requests to the control socket.

use halves::Peer;
use nix::unistd::Uid;

use super::ControlAddress;

/// The users that may send requests.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum Permits {
    /// Root, and this user.
    Owner(Uid),
    /// All that the mode of the socket's file lets in. The kernel has checked it.
    File,
}

impl Permits {
    /// Returns those of an address. Without one of its own, the user is that of the process now.
    pub(in crate::cli) fn of(address: &ControlAddress) -> Self {
        if address.has_access {
            Self::File
        } else {
            Self::Owner(Uid::effective())
        }
    }

    /// Returns the problem of a client that may not send requests.
    pub(super) fn check(self, client: &Peer) -> Result<(), String> {
        let credentials = client.credentials().ok_or(
            "the system does not identify the client: the control socket must be a Unix socket",
        )?;
        match self {
            Self::File => Ok(()),
            Self::Owner(owner) if [0, owner.as_raw()].contains(&credentials.uid) => Ok(()),
            Self::Owner(owner) => {
                let client = credentials.uid;
                let others = if owner.is_root() {
                    "only root may".to_owned()
                } else {
                    format!("root and user {owner} may")
                };
                Err(format!("user {client} may not send requests; {others}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use halves::connection::Credentials;

    use super::*;

    fn client(uid: u32) -> Peer {
        Peer::default().with_credentials(Credentials::new(None, uid, 5))
    }

    #[test]
    fn root_and_the_owner_may_send_requests() {
        let permits = Permits::Owner(Uid::from_raw(7));
        for (uid, may) in [(0, true), (7, true), (5, false), (8, false)] {
            assert_eq!(permits.check(&client(uid)).is_ok(), may, "{uid}");
        }
        assert!(Permits::File.check(&client(8)).is_ok());
    }

    #[test]
    fn a_client_that_is_not_identified_may_not() {
        for permits in [Permits::File, Permits::Owner(Uid::from_raw(0))] {
            assert!(permits.check(&Peer::default()).is_err());
        }
    }
}
