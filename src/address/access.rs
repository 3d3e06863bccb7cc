//! Who may connect to a Unix socket with a path.

use std::fmt;

/// Who may connect to a Unix socket with a path: the mode and the owner of its file. A client needs
/// the right to write to it. On Linux nobody can connect before they are set.
///
/// What is not set is as for any new file: the umask (022 as a rule, so that only the same user may
/// connect) and the process's own user and group.
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

/// A user or a group.
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
    /// By its number.
    Number(u32),
    /// By its name, which is looked up when it is needed, wherever the system keeps such names.
    Name(String),
}

impl Access {
    /// The permissions, such as `0o660`; bits beyond `0o777` do not count.
    ///
    /// # Examples
    ///
    /// See [`Access`].
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode & 0o777);
        self
    }

    /// The user whose file it is. To give it to another one takes root's rights.
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

    /// The group whose file it is: one that the process is in, unless it has root's rights.
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

/// As settings in an address: each after a comma.
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
