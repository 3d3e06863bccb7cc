//! Admission: the rules and the limits per source.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use crate::connection::{Flag, Record};
use crate::limits::{Accounts, Rules, Sources};
use crate::reason::Reason;
use crate::time::Stamp;

/// Checks the source of each connection.
#[derive(Default)]
pub(super) struct Admission {
    rules: RwLock<Rules>,
    accounts: Mutex<Accounts>,
}

impl Admission {
    pub(super) fn set_sources(&self, sources: Sources) {
        *self.accounts() = Accounts::new(sources);
    }

    pub(super) fn set_rules(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Checks the source, and counts the connection for it. A peer without an IP address passes.
    pub(super) fn check(&self, record: &Record, now: Stamp) -> Result<(), Reason> {
        let Some(source) = record.peer().socket_addr() else {
            return Ok(());
        };
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        if !rules.admit(source.ip()) {
            return Err(Reason::Denied);
        }
        drop(rules);
        let mut accounts = self.accounts();
        if accounts.is_on() {
            accounts.open(source, now)?;
            record.flags.set(Flag::SourceCounted);
        }
        Ok(())
    }

    /// Gives back the count of a connection that has ended.
    pub(super) fn leave(&self, record: &Record, now: Stamp) {
        // The flag is set and cleared under one lock: if a client is identified while its
        // connection ends, exactly one of the two sides gives the count back.
        let mut accounts = self.accounts();
        if record.flags.clear(Flag::SourceCounted)
            && let Some(source) = record.peer().socket_addr()
        {
            accounts.close(source, now);
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
