//! Sockets from a service manager, as `sd_listen_fds`(3) describes them.

use std::env;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::net::getsockname;

use super::take;
use crate::connection::Endpoint;

/// The number of the first one.
const FIRST: RawFd = 3;
/// More is a mistake.
const MOST: usize = 65_535;
/// What those are called whose manager names none.
const NAMELESS: &str = "unknown";

/// What was handed over, and is not asked for yet; or why there is nothing. None: nobody has
/// looked.
static HANDED: Mutex<Option<Result<Vec<Handed>, String>>> = Mutex::new(None);

/// A descriptor that a service manager handed over.
struct Handed {
    name: String,
    number: RawFd,
    /// None once it was asked for.
    fd: Option<OwnedFd>,
}

impl Handed {
    fn claim(&mut self) -> Option<HandedOver> {
        Some(HandedOver {
            fd: self.fd.take()?,
            name: self.name.clone(),
            number: self.number,
        })
    }
}

/// A descriptor that a service manager handed over. Dropping it closes it.
#[derive(Debug)]
#[non_exhaustive]
pub struct HandedOver {
    /// The name that the service manager gave it; `unknown` where it gave none.
    pub name: String,
    /// The number that it had at the start, and has.
    pub number: RawFd,
    /// The descriptor itself: a socket, or anything else.
    pub fd: OwnedFd,
}

impl HandedOver {
    /// Where it listens, or our end of it is.
    ///
    /// # Examples
    ///
    /// See [`unclaimed`].
    #[must_use]
    pub fn local(&self) -> Endpoint {
        getsockname(&self.fd).map_or(Endpoint::Unknown, Endpoint::of)
    }
}

/// Takes over what a service manager has handed over, as `LISTEN_PID`, `LISTEN_PIDFDID`, `LISTEN_FDS` and
/// `LISTEN_FDNAMES` say, and keeps it until `sd-listen` is listened at. Only the first call does
/// anything.
///
/// [`bind`](crate::bind) does this itself. It is for a program that starts children: none gets
/// those descriptors afterwards; and for one that opens descriptors which its children are to have:
/// what is opened after this is never [taken](super::take) for one that was handed down. Those
/// variables are still in the environment, though they name
/// this process only; a program that has no other threads yet may remove them after this.
///
/// # Examples
///
/// ```
/// halves::listener::inherited::receive();
/// ```
pub fn receive() {
    drop(handed());
}

/// Takes what a service manager has handed over and was not asked for: clients of such a socket wait
/// for a server that does not accept. What is returned cannot be listened at any more.
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
pub fn unclaimed() -> Vec<HandedOver> {
    match &mut *handed() {
        Some(Ok(all)) => all.iter_mut().filter_map(Handed::claim).collect(),
        _ => Vec::new(),
    }
}

/// The one of this number, whether a service manager has handed it over or not.
pub(in crate::listener) fn socket(number: RawFd) -> io::Result<OwnedFd> {
    let handed = match &mut *handed() {
        Some(Ok(all)) => all
            .iter_mut()
            .find(|handed| handed.number == number)
            .and_then(|handed| handed.fd.take()),
        _ => None,
    };
    handed.map_or_else(|| take(number), Ok)
}

/// The sockets of this name, or all of them.
pub(in crate::listener) fn sockets(name: Option<&str>) -> io::Result<Vec<HandedOver>> {
    match &mut *handed() {
        Some(Ok(all)) => choose(all, name),
        Some(Err(problem)) => Err(problem.clone()),
        None => Ok(Vec::new()),
    }
    .map_err(|problem| io::Error::new(io::ErrorKind::NotFound, problem))
}

fn handed() -> MutexGuard<'static, Option<Result<Vec<Handed>, String>>> {
    let mut handed = HANDED.lock().unwrap_or_else(PoisonError::into_inner);
    handed.get_or_insert_with(|| {
        drop(super::left());
        let said = Said {
            pid: env::var("LISTEN_PID").ok(),
            pidfd_id: env::var("LISTEN_PIDFDID").ok(),
            count: env::var("LISTEN_FDS").ok(),
            names: env::var("LISTEN_FDNAMES").ok(),
        };
        let names = said.names(process::id(), pidfd_id())?;
        let take = |(number, name)| match take(number) {
            Ok(fd) => Ok(Handed {
                name,
                number,
                fd: Some(fd),
            }),
            Err(error) => Err(format!(
                "descriptor {number} was to be handed over: {error}"
            )),
        };
        (FIRST..).zip(names).map(take).collect()
    });
    handed
}

fn choose(all: &mut [Handed], name: Option<&str>) -> Result<Vec<HandedOver>, String> {
    let is_meant = |handed: &&mut Handed| name.is_none_or(|name| handed.name == name);
    let mut chosen = Vec::new();
    for handed in all.iter_mut().filter(is_meant) {
        let claimed = handed.claim();
        chosen.push(claimed.ok_or_else(|| format!("'{}' is listened at already", handed.name))?);
    }
    if chosen.is_empty() {
        let names: Vec<_> = all.iter().map(|handed| handed.name.as_str()).collect();
        let name = name.unwrap_or_default();
        let names = names.join(", ");
        return Err(format!(
            "no socket called '{name}' was handed over, only: {names}"
        ));
    }
    Ok(chosen)
}

/// The number of this process's own descriptor, which no other process has until the system starts again.
/// None before Linux 6.9, where all of these have one number.
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

/// What the environment says.
#[derive(Debug, Default)]
struct Said {
    /// Whom it is for.
    pid: Option<String>,
    /// The same, for the case that another process has got that number since. From systemd 257.
    pidfd_id: Option<String>,
    count: Option<String>,
    /// With colons between.
    names: Option<String>,
}

impl Said {
    /// The name of each descriptor that was handed over to process `pid`, in their order.
    fn names(&self, pid: u32, pidfd_id: Option<u64>) -> Result<Vec<String>, String> {
        let (Some(whose), Some(count)) = (&self.pid, &self.count) else {
            let problem = "no sockets were handed over: LISTEN_PID and LISTEN_FDS are not both set";
            return Err(problem.to_owned());
        };
        if whose.parse() != Ok(pid) {
            return Err(format!(
                "no sockets were handed over to process {pid}: LISTEN_PID is {whose}"
            ));
        }
        if let (Some(meant), Some(ours)) = (&self.pidfd_id, pidfd_id)
            && *meant != ours.to_string()
        {
            return Err(format!(
                "no sockets were handed over to process {pid} of pidfd {ours}: LISTEN_PIDFDID is {meant}"
            ));
        }
        let Ok(count @ 1..=MOST) = count.parse::<usize>() else {
            let problem = format!("no sockets were handed over: LISTEN_FDS is {count}");
            return Err(problem);
        };
        let Some(names) = &self.names else {
            return Ok(vec![NAMELESS.to_owned(); count]);
        };
        let names: Vec<_> = names.split(':').map(String::from).collect();
        if names.len() != count {
            let named = names.len();
            return Err(format!(
                "LISTEN_FDNAMES has {named} names for {count} descriptors"
            ));
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn said(pid: &str, count: &str, names: &str) -> Said {
        Said {
            pid: Some(pid.to_owned()),
            pidfd_id: None,
            count: Some(count.to_owned()),
            names: Some(names.to_owned()).filter(|names| !names.is_empty()),
        }
    }

    #[test]
    fn names_are_for_one_process() {
        let names = |said: Said| said.names(12, None);
        assert_eq!(names(said("12", "1", "")), Ok(vec!["unknown".to_owned()]));
        assert_eq!(
            names(said("12", "65535", "")).map(|names| names.len()),
            Ok(MOST)
        );
        let two = Ok(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(names(said("12", "2", "a:b")), two);
        for (said, word) in [
            (Said::default(), "not both set"),
            (said("13", "1", ""), "LISTEN_PID is 13"),
            (said("", "1", ""), "LISTEN_PID is"),
            (said("12", "0", ""), "LISTEN_FDS is 0"),
            (said("12", "-1", ""), "LISTEN_FDS is -1"),
            (said("12", "x", ""), "LISTEN_FDS is x"),
            (said("12", "65536", ""), "LISTEN_FDS is 65536"),
            (said("12", "2", "a"), "1 names for 2"),
            (said("12", "1", "a:b"), "2 names for 1"),
        ] {
            let problem = names(said).expect_err(word);
            assert!(problem.contains(word), "{problem}");
        }
    }

    /// A number of a process comes again; that of its descriptor does not.
    #[test]
    fn a_process_is_known_by_its_descriptor_too() {
        let names = |said_id: Option<&str>, ours| {
            let pidfd_id = said_id.map(str::to_owned);
            let said = Said {
                pidfd_id,
                ..said("12", "1", "web")
            };
            said.names(12, ours)
        };
        for (said_id, ours) in [(Some("7"), Some(7)), (Some("7"), None), (None, Some(7))] {
            assert_eq!(names(said_id, ours), Ok(vec!["web".to_owned()]));
        }
        for said_id in ["8", "", "+7", "x"] {
            let problem = format!(
                "no sockets were handed over to process 12 of pidfd 7: LISTEN_PIDFDID is {said_id}"
            );
            assert_eq!(names(Some(said_id), Some(7)), Err(problem));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_one_descriptor_number() {
        assert_eq!(pidfd_id(), pidfd_id());
    }

    #[test]
    fn each_is_given_once_by_its_name() {
        let mut all = ["web", "admin", "web"].map(|name| Handed {
            name: name.to_owned(),
            number: 0,
            fd: File::open("/dev/null").ok().map(OwnedFd::from),
        });
        let mut choose = |name| choose(&mut all, name).map(|chosen| chosen.len());
        assert_eq!(choose(Some("web")), Ok(2));
        let unknown = choose(Some("mail")).expect_err("there is none");
        assert!(unknown.ends_with("only: web, admin, web"), "{unknown}");
        let again = choose(Some("web")).expect_err("it is taken");
        assert!(again.contains("'web' is listened at already"), "{again}");
        assert_eq!(choose(Some("admin")), Ok(1));
    }
}
