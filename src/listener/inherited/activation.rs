//! Sockets from a service manager, as `sd_listen_fds`(3) describes them.

use std::env;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::take;

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

/// Takes over what a service manager has handed over, as `LISTEN_PID`, `LISTEN_FDS` and
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
pub(in crate::listener) fn sockets(name: Option<&str>) -> io::Result<Vec<OwnedFd>> {
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
            count: env::var("LISTEN_FDS").ok(),
            names: env::var("LISTEN_FDNAMES").ok(),
        };
        let names = said.names(process::id())?;
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

fn choose(all: &mut [Handed], name: Option<&str>) -> Result<Vec<OwnedFd>, String> {
    let is_meant = |handed: &&mut Handed| name.is_none_or(|name| handed.name == name);
    let mut chosen = Vec::new();
    for handed in all.iter_mut().filter(is_meant) {
        let fd = handed.fd.take();
        chosen.push(fd.ok_or_else(|| format!("'{}' is listened at already", handed.name))?);
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

/// What the environment says.
#[derive(Debug, Default)]
struct Said {
    /// Whom it is for.
    pid: Option<String>,
    count: Option<String>,
    /// With colons between.
    names: Option<String>,
}

impl Said {
    /// The name of each descriptor that was handed over to process `pid`, in their order.
    fn names(&self, pid: u32) -> Result<Vec<String>, String> {
        let (Some(whose), Some(count)) = (&self.pid, &self.count) else {
            let problem = "no sockets were handed over: LISTEN_PID and LISTEN_FDS are not both set";
            return Err(problem.to_owned());
        };
        if whose.parse() != Ok(pid) {
            return Err(format!(
                "no sockets were handed over to process {pid}: LISTEN_PID is {whose}"
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
            count: Some(count.to_owned()),
            names: Some(names.to_owned()).filter(|names| !names.is_empty()),
        }
    }

    #[test]
    fn names_are_for_one_process() {
        let names = |said: Said| said.names(12);
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
