//! Socket activation: descriptors from a service manager, see `sd_listen_fds`(3).

use std::env;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::net::getsockname;

use super::take;
use crate::connection::Endpoint;

/// The number of the first descriptor.
const FIRST_FD: RawFd = 3;
/// The most descriptors; a larger number is an error.
const MAX_FDS: usize = 65_535;
/// The name of a descriptor without a name from the service manager.
const DEFAULT_NAME: &str = "unknown";

/// The descriptors from the service manager, or the reason why there are none. None before the
/// first use.
static RECEIVED_FDS: Mutex<Option<Result<Vec<ReceivedFd>, String>>> = Mutex::new(None);

/// A descriptor from the service manager, claimed or not.
struct ReceivedFd {
    name: String,
    number: RawFd,
    /// None once it was claimed.
    fd: Option<OwnedFd>,
}

impl ReceivedFd {
    fn claim(&mut self) -> Option<ActivationFd> {
        Some(ActivationFd {
            fd: self.fd.take()?,
            name: self.name.clone(),
            number: self.number,
        })
    }
}

/// A descriptor that a service manager handed over. Dropping it closes the descriptor.
#[derive(Debug)]
#[non_exhaustive]
pub struct ActivationFd {
    /// The name that the service manager gave it; `unknown` by default.
    pub name: String,
    /// The number of the descriptor, the same as at the start of the process.
    pub number: RawFd,
    /// The descriptor: a socket, or anything else.
    pub fd: OwnedFd,
}

impl ActivationFd {
    /// Returns the local address of the socket, or [`Endpoint::Unknown`].
    ///
    /// # Examples
    ///
    /// ```
    /// use halves::listener::inherited::unclaimed;
    ///
    /// for passed in unclaimed() {
    ///     println!("{} listens on {}", passed.name, passed.local());
    /// }
    /// ```
    #[must_use]
    pub fn local(&self) -> Endpoint {
        getsockname(&self.fd).map_or(Endpoint::Unknown, Endpoint::of)
    }
}

/// Takes over the descriptors that a service manager handed over, as `LISTEN_PID`,
/// `LISTEN_PIDFDID`, `LISTEN_FDS` and `LISTEN_FDNAMES` describe them, and keeps them for
/// `sd-listen`. Calls after the first do nothing.
///
/// [`bind`](crate::bind) calls this itself. Call it earlier in a program that starts children, so
/// that they do not inherit these descriptors; or in one that opens descriptors for its children,
/// as descriptors opened after this call cannot be [taken](super::take) as inherited ones. The
/// variables stay in the environment. They are valid for this process only; a program without
/// other threads may remove them after this call.
///
/// # Examples
///
/// ```
/// halves::listener::inherited::receive();
/// ```
pub fn receive() {
    drop(received());
}

/// Takes the descriptors that a service manager handed over and `sd-listen` has not used. Clients
/// of such a socket wait for an accept that never comes. `sd-listen` cannot use them after this.
///
/// # Examples
///
/// ```
/// use halves::listener::inherited::unclaimed;
///
/// for unused in unclaimed() {
///     eprintln!("closing {} (fd:{}, {})", unused.name, unused.number, unused.local());
/// }
/// ```
pub fn unclaimed() -> Vec<ActivationFd> {
    match &mut *received() {
        Some(Ok(all)) => all.iter_mut().filter_map(ReceivedFd::claim).collect(),
        _ => Vec::new(),
    }
}

/// Takes the inherited descriptor of this number, from a service manager or not.
pub(in crate::listener) fn socket(number: RawFd) -> io::Result<OwnedFd> {
    let claimed = match &mut *received() {
        Some(Ok(all)) => all
            .iter_mut()
            .find(|fd| fd.number == number)
            .and_then(|fd| fd.fd.take()),
        _ => None,
    };
    claimed.map_or_else(|| take(number), Ok)
}

/// Takes the sockets of this name, or all of them.
pub(in crate::listener) fn sockets(name: Option<&str>) -> io::Result<Vec<ActivationFd>> {
    match &mut *received() {
        Some(Ok(all)) => claim_named(all, name),
        Some(Err(message)) => Err(message.clone()),
        None => Ok(Vec::new()),
    }
    .map_err(|message| io::Error::new(io::ErrorKind::NotFound, message))
}

/// Returns the descriptors from the service manager. Takes them over at the first call.
fn received() -> MutexGuard<'static, Option<Result<Vec<ReceivedFd>, String>>> {
    let mut received = RECEIVED_FDS.lock().unwrap_or_else(PoisonError::into_inner);
    received.get_or_insert_with(|| {
        drop(super::untaken());
        let variables = Variables {
            pid: env::var("LISTEN_PID").ok(),
            pidfd_id: env::var("LISTEN_PIDFDID").ok(),
            count: env::var("LISTEN_FDS").ok(),
            names: env::var("LISTEN_FDNAMES").ok(),
        };
        let names = variables.names(process::id(), pidfd_id())?;
        let take = |(number, name)| match take(number) {
            Ok(fd) => Ok(ReceivedFd {
                name,
                number,
                fd: Some(fd),
            }),
            Err(error) => Err(format!(
                "descriptor {number} was to be handed over: {error}"
            )),
        };
        (FIRST_FD..).zip(names).map(take).collect()
    });
    received
}

/// Claims the descriptors of this name, or all of them.
fn claim_named(all: &mut [ReceivedFd], name: Option<&str>) -> Result<Vec<ActivationFd>, String> {
    let has_name = |fd: &&mut ReceivedFd| name.is_none_or(|name| fd.name == name);
    let mut claimed = Vec::new();
    for fd in all.iter_mut().filter(has_name) {
        let claim = fd.claim();
        claimed.push(claim.ok_or_else(|| format!("'{}' is in use already", fd.name))?);
    }
    if claimed.is_empty() {
        let names: Vec<_> = all.iter().map(|fd| fd.name.as_str()).collect();
        let name = name.unwrap_or_default();
        let names = names.join(", ");
        return Err(format!(
            "no socket called '{name}' was handed over, only: {names}"
        ));
    }
    Ok(claimed)
}

/// Returns the inode of this process's pidfd, which no other process has until the next boot. None
/// before Linux 6.9, where all pidfds have one inode.
#[cfg(target_os = "linux")]
fn pidfd_id() -> Option<u64> {
    use rustix::fs::{fstat, fstatfs};
    use rustix::process::{PidfdFlags, getpid, pidfd_open};
    const PID_FS_MAGIC: u32 = 0x5049_4446;
    let this = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    let file_system = fstatfs(&this).ok()?.f_type;
    let is_pidfs = u32::try_from(file_system) == Ok(PID_FS_MAGIC);
    Some(fstat(&this).ok()?.st_ino).filter(|_| is_pidfs)
}

#[cfg(not(target_os = "linux"))]
fn pidfd_id() -> Option<u64> {
    None
}

/// The environment variables of socket activation.
#[derive(Debug, Default)]
struct Variables {
    /// The process that the descriptors are for.
    pid: Option<String>,
    /// The inode of its pidfd, since process ids are reused. From systemd 257.
    pidfd_id: Option<String>,
    count: Option<String>,
    /// Separated by colons.
    names: Option<String>,
}

impl Variables {
    /// Returns the names of the descriptors that were handed over to process `pid`, in order.
    fn names(&self, pid: u32, pidfd_id: Option<u64>) -> Result<Vec<String>, String> {
        let (Some(target_pid), Some(count)) = (&self.pid, &self.count) else {
            let message = "no sockets were handed over: LISTEN_PID and LISTEN_FDS are not both set";
            return Err(message.to_owned());
        };
        if target_pid.parse() != Ok(pid) {
            return Err(format!(
                "no sockets were handed over to process {pid}: LISTEN_PID is {target_pid}"
            ));
        }
        if let (Some(target_id), Some(own_id)) = (&self.pidfd_id, pidfd_id)
            && *target_id != own_id.to_string()
        {
            return Err(format!(
                "no sockets were handed over to process {pid} of pidfd {own_id}: LISTEN_PIDFDID is {target_id}"
            ));
        }
        let Ok(count @ 1..=MAX_FDS) = count.parse::<usize>() else {
            let message = format!("no sockets were handed over: LISTEN_FDS is {count}");
            return Err(message);
        };
        let Some(names) = &self.names else {
            return Ok(vec![DEFAULT_NAME.to_owned(); count]);
        };
        let names: Vec<_> = names.split(':').map(String::from).collect();
        if names.len() != count {
            let name_count = names.len();
            return Err(format!(
                "LISTEN_FDNAMES has {name_count} names for {count} descriptors"
            ));
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn variables(pid: &str, count: &str, names: &str) -> Variables {
        Variables {
            pid: Some(pid.to_owned()),
            pidfd_id: None,
            count: Some(count.to_owned()),
            names: Some(names.to_owned()).filter(|names| !names.is_empty()),
        }
    }

    #[test]
    fn variables_are_for_one_process() {
        let names = |variables: Variables| variables.names(12, None);
        assert_eq!(
            names(variables("12", "1", "")),
            Ok(vec!["unknown".to_owned()])
        );
        assert_eq!(
            names(variables("12", "65535", "")).map(|names| names.len()),
            Ok(MAX_FDS)
        );
        let two = Ok(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(names(variables("12", "2", "a:b")), two);
        for (variables, text) in [
            (Variables::default(), "not both set"),
            (variables("13", "1", ""), "LISTEN_PID is 13"),
            (variables("", "1", ""), "LISTEN_PID is"),
            (variables("12", "0", ""), "LISTEN_FDS is 0"),
            (variables("12", "-1", ""), "LISTEN_FDS is -1"),
            (variables("12", "x", ""), "LISTEN_FDS is x"),
            (variables("12", "65536", ""), "LISTEN_FDS is 65536"),
            (variables("12", "2", "a"), "1 names for 2"),
            (variables("12", "1", "a:b"), "2 names for 1"),
        ] {
            let message = names(variables).expect_err(text);
            assert!(message.contains(text), "{message}");
        }
    }

    /// Process ids are reused; inodes of pidfds are not.
    #[test]
    fn the_inode_of_the_pidfd_is_checked_too() {
        let names = |target_id: Option<&str>, own_id| {
            let pidfd_id = target_id.map(str::to_owned);
            let variables = Variables {
                pidfd_id,
                ..variables("12", "1", "web")
            };
            variables.names(12, own_id)
        };
        for (target_id, own_id) in [(Some("7"), Some(7)), (Some("7"), None), (None, Some(7))] {
            assert_eq!(names(target_id, own_id), Ok(vec!["web".to_owned()]));
        }
        for target_id in ["8", "", "+7", "x"] {
            let message = format!(
                "no sockets were handed over to process 12 of pidfd 7: LISTEN_PIDFDID is {target_id}"
            );
            assert_eq!(names(Some(target_id), Some(7)), Err(message));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_inode_of_the_own_pidfd_is_constant() {
        assert_eq!(pidfd_id(), pidfd_id());
    }

    #[test]
    fn a_descriptor_is_claimed_once_by_its_name() {
        let mut all = ["web", "admin", "web"].map(|name| ReceivedFd {
            name: name.to_owned(),
            number: 0,
            fd: File::open("/dev/null").ok().map(OwnedFd::from),
        });
        let mut claim = |name| claim_named(&mut all, name).map(|claimed| claimed.len());
        assert_eq!(claim(Some("web")), Ok(2));
        let unknown = claim(Some("mail")).expect_err("there is none");
        assert!(unknown.ends_with("only: web, admin, web"), "{unknown}");
        let again = claim(Some("web")).expect_err("it is claimed");
        assert!(again.contains("'web' is in use already"), "{again}");
        assert_eq!(claim(Some("admin")), Ok(1));
    }
}
