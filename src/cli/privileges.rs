//! `--user` and `--group`: another user and group for the process, with no way back.

use std::ffi::CString;
use std::io;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, setgid, setuid};

use super::args::ServerOptions;

/// The user and group that the process changes to.
#[derive(Debug)]
pub(super) struct Identity {
    user: Option<NewUser>,
    group: Gid,
}

#[derive(Debug)]
struct NewUser {
    id: Uid,
    /// None for a user without an entry in the database.
    entry: Option<Entry>,
}

/// The entry of a user in the database.
#[derive(Debug)]
struct Entry {
    name: CString,
    group: Gid,
}

impl Identity {
    /// Looks up the values of `--user` and `--group`, each a name or a number. Returns None without
    /// both. An error is one line. May take long.
    pub(super) fn find(options: &ServerOptions) -> io::Result<Option<Self>> {
        let (user, group) = (options.user.as_deref(), options.group.as_deref());
        Self::look_up(user, group).map_err(io::Error::other)
    }

    fn look_up(user: Option<&str>, group: Option<&str>) -> Result<Option<Self>, String> {
        let group = group.map(find_group).transpose()?;
        let Some(name) = user else {
            return Ok(group.map(|group| Self { user: None, group }));
        };
        let user = find_user(name)?;
        let own_group = user.entry.as_ref().map(|entry| entry.group);
        let group = group.or(own_group).ok_or_else(|| {
            format!("--user {name}: the system has no group for this number; add --group")
        })?;
        let user = Some(user);
        Ok(Some(Self { user, group }))
    }

    /// Changes the groups and the user of all threads, then checks that the change is complete and
    /// that there is no way back. After an error, the process must end: the change may be partial.
    pub(super) fn assume(&self) -> io::Result<()> {
        self.change_and_check().map_err(io::Error::other)
    }

    fn change_and_check(&self) -> Result<(), String> {
        // Only root may set groups, and a process that has this identity already need not be root.
        if Uid::effective().is_root() || !self.is_assumed() {
            self.change().map_err(|error| {
                let hint = match error {
                    Errno::EPERM => "; only root can change them",
                    _ => "",
                };
                format!("cannot change the user and group: {error}{hint}")
            })?;
        }
        if !self.is_assumed() {
            return Err("the change of the user and group is incomplete".to_owned());
        }
        match &self.user {
            Some(user) if !user.id.is_root() => check_no_way_back(),
            _ => Ok(()),
        }
    }

    fn change(&self) -> Result<(), Errno> {
        let Some(user) = &self.user else {
            return set_group(self.group.as_raw());
        };
        match &user.entry {
            #[cfg(not(target_vendor = "apple"))]
            Some(entry) => {
                nix::unistd::initgroups(&entry.name, self.group)?;
                setgid(self.group)?;
            }
            _ => set_group(self.group.as_raw())?,
        }
        set_user(user.id.as_raw())
    }

    /// Returns true if the real, effective and saved ids are those of this identity.
    fn is_assumed(&self) -> bool {
        let (users, groups) = ids();
        let is_user = |user: &NewUser| users.iter().all(|id| *id == user.id);
        groups.iter().all(|id| *id == self.group) && self.user.as_ref().is_none_or(is_user)
    }
}

/// Changes the groups of all threads to this one.
pub(super) fn set_group(group: u32) -> Result<(), Errno> {
    let group = Gid::from_raw(group);
    #[cfg(not(target_vendor = "apple"))]
    nix::unistd::setgroups(&[group])?;
    setgid(group)
}

/// Changes the user of all threads.
pub(super) fn set_user(user: u32) -> Result<(), Errno> {
    setuid(Uid::from_raw(user))
}

fn find_user(name: &str) -> Result<NewUser, String> {
    let found = match name.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(name),
    };
    let found = found_or_none(found).map_err(|error| format!("--user {name}: {error}"))?;
    match (found, name.parse()) {
        (Some(user), _) => Ok(NewUser {
            id: user.uid,
            entry: CString::new(user.name).ok().map(|name| Entry {
                name,
                group: user.gid,
            }),
        }),
        (None, Ok(number)) => Ok(NewUser {
            id: Uid::from_raw(number),
            entry: None,
        }),
        (None, Err(_)) => Err(unknown("user", name)),
    }
}

fn find_group(name: &str) -> Result<Gid, String> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    match found_or_none(Group::from_name(name)) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(unknown("group", name)),
        Err(error) => Err(format!("--group {name}: {error}")),
    }
}

/// Without a database, as in a container of one file, there is no entry.
fn found_or_none<T>(found: Result<Option<T>, Errno>) -> Result<Option<T>, Errno> {
    match found {
        Err(Errno::ENOENT) => Ok(None),
        found => found,
    }
}

fn unknown(what: &str, name: &str) -> String {
    format!("--{what} {name}: there is no {what} of this name")
}

/// Returns the real, effective and saved ids of the user and the group.
#[cfg(any(target_os = "linux", target_os = "freebsd", target_os = "openbsd"))]
fn ids() -> (Vec<Uid>, Vec<Gid>) {
    use nix::unistd::{getresgid, getresuid};
    let users = getresuid().map(|ids| vec![ids.real, ids.effective, ids.saved]);
    let groups = getresgid().map(|ids| vec![ids.real, ids.effective, ids.saved]);
    // The calls fail only for a bad address.
    (users.unwrap_or_default(), groups.unwrap_or_default())
}

/// Returns the real and effective ids of the user and the group.
#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_os = "openbsd")))]
fn ids() -> (Vec<Uid>, Vec<Gid>) {
    use nix::unistd::{getegid, geteuid, getgid, getuid};
    (vec![getuid(), geteuid()], vec![getgid(), getegid()])
}

/// Checks that the process cannot become root again, and has no capabilities.
fn check_no_way_back() -> Result<(), String> {
    if setuid(Uid::from_raw(0)).is_ok() {
        return Err("the process can become root again after the change of the user".to_owned());
    }
    #[cfg(target_os = "linux")]
    {
        let sets = rustix::thread::capabilities(None).map_err(|error| {
            format!("cannot read the capabilities after the change of the user: {error}")
        })?;
        if !(sets.permitted | sets.effective).is_empty() {
            let sets = sets.permitted | sets.effective;
            return Err(format!(
                "the process keeps capabilities after the change of the user: {sets:?}"
            ));
        }
    }
    Ok(())
}
