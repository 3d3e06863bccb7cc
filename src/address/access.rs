//! `Access`: the permissions of a Unix socket with a path.

use std::fmt;

/// The permissions of a Unix socket with a path: the mode and the owner of its file. A client needs
/// write permission to connect. On Linux no client can connect before they are set.
///
/// The defaults are those of a new file: the mode by the umask (usually 022, so that only the same
/// user can connect), and the user and group of the process.
///
/// # Examples
///
/// ```
/// use halves::Address;
/// use halves::address::Access;
///
/// let access = Access::default().mode(0o660).group("web");
/// let address = Address::Unix { path: "/run/x.sock".into(), access };
/// assert_eq!(address.to_string(), "unix:/run/x.sock,mode=0660,group=web");
/// assert_eq!("/run/x.sock,group=web,mode=660".parse::<Address>()?, address);
/// # Ok::<(), halves::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Access {
    pub(crate) mode: Option<u32>,
    pub(crate) user: Option<Owner>,
    pub(crate) group: Option<Owner>,
}

/// A user or a group, by id or by name.
///
/// # Examples
///
/// ```
/// use halves::address::Owner;
///
/// assert_eq!(Owner::from("web"), Owner::Name("web".into()));
/// assert_eq!(Owner::from(33), Owner::Number(33));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A user id or a group id.
    Number(u32),
    /// A name, which the system's user database resolves when the address is listened on.
    Name(String),
}

impl Access {
    /// Sets the mode, such as `0o660`. Bits beyond `0o777` are ignored.
    ///
    /// # Examples
    ///
    /// ```
    /// let access = halves::address::Access::default().mode(0o660);
    /// assert_eq!(access.to_string(), ",mode=0660");
    /// ```
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode & 0o777);
        self
    }

    /// Sets the user that owns the file. Only root can set another user than its own.
    ///
    /// # Examples
    ///
    /// ```
    /// let access = halves::address::Access::default().user("web");
    /// assert_eq!(access.to_string(), ",user=web");
    /// ```
    #[must_use]
    pub fn user(mut self, user: impl Into<Owner>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the group of the file. The process must be in that group, or be root.
    ///
    /// # Examples
    ///
    /// ```
    /// let access = halves::address::Access::default().group(33);
    /// assert_eq!(access.to_string(), ",group=33");
    /// ```
    #[must_use]
    pub fn group(mut self, group: impl Into<Owner>) -> Self {
        self.group = Some(group.into());
        self
    }
}

impl From<u32> for Owner {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Owner {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

/// Prints the settings as in an address, each after a comma.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(mode) = self.mode {
            write!(f, ",mode={mode:04o}")?;
        }
        if let Some(user) = &self.user {
            write!(f, ",user={user}")?;
        }
        if let Some(group) = &self.group {
            write!(f, ",group={group}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(&super::escape(name)),
        }
    }
}
